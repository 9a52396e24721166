# What is done before a run. Snakemake says whether a command runs jobs, and where, only when it has read all files of the
# workflow: in the words with which it calls `execute`. A command that only looks, such as `snakemake -n`, changes nothing.
snakemake_executes = workflow.execute


def prepare_and_execute(executor_plugin, **settings):
    set_limits()
    kind = executor_plugin.common_settings
    held = None if kind.dryrun_exec or kind.touch_exec else remove_stale_lock()
    if held:
        remove_changed_files()
    # The lock is held until this returns.
    return snakemake_executes(executor_plugin=executor_plugin, **settings)


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
    workflow.execute = prepare_and_execute
