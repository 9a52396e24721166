# What is done before a run. Whether a command runs jobs, and where, Snakemake knows only when all files of the workflow are
# read, just before it plans. A command that only looks, such as `snakemake -n`, changes nothing.
from contextlib import ContextDecorator


class Prepared(ContextDecorator):
    """Prepares what is called. As a decorator it does not count as the place of what fails in there."""

    def __enter__(self):
        if workflow.executor_plugin is None:
            return
        set_limits()
        if workflow.dryrun:
            return
        alone = remove_stale_lock()
        if not workflow.touch:
            wait_for_turn()
            if alone:
                remove_changed_files()

    def __exit__(self, *error):
        pass


def set_limits():
    """profiles/default wins over the profile of a cluster. Its cores and its one GPU are those of this machine."""
    limits, asked = workflow.global_resources, workflow.resource_settings
    if asked.nodes is None:
        return
    if workflow.execution_settings.use_threads:
        # So Snakemake runs jobs elsewhere, where these would cut down what jobs ask for.
        limits["_cores"] = limits["gpu"] = None
    else:
        # `-j 4` on this machine means four cores, as Snakemake has it where no profile gives the cores.
        limits["_cores"] = asked.cores = min(asked.cores, asked.nodes)
        limits["_nodes"] = asked.nodes = None


if workflow.is_main_process:
    workflow._prepare_dag = Prepared()(workflow._prepare_dag)
