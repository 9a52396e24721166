# train: one model per run. Its state for resuming is no output, or Snakemake would delete it after a failure.


rule train_run:
    input:
        plates=PLATES,
        index=INDEX,
        molecules=MOLECULES,
        split=run_split,
    output:
        model=f"{RESULTS}/runs/{{run}}/model.pt",
        log=f"{RESULTS}/runs/{{run}}/train_log.csv",
    log:
        # A file, as the processes that a launcher starts on other nodes read no pipe of this one.
        settings=f"{LOGS}/train/{{run}}.yaml",
        # Shown last where a training fails.
        messages=f"{LOGS}/train/{{run}}.log",
    benchmark:
        f"{TIMES}/train/{{run}}.tsv"
    conda:
        environment("train")
    threads: 8
    resources:
        gpu=1,
        running=RUNNING,
        # What stands before `-m cloome train`: for several nodes, a profile writes srun and torchrun here.
        launcher="python",
        # A folder of the machine that the job runs on; plates are copied there first.
        local_disk="",
    params:
        code=code("train"),
        settings=settings("train"),
        options=run_options,
        state=f"{RESULTS}/runs/{{run}}/state",
    message:
        "Training {wildcards.run}"
    shell:
        "(echo {params.settings:q}; echo {resources.running:q}) > {log.settings:q};"
        ' {resources.launcher} -m cloome train --config {log.settings:q} --local-disk "{resources.local_disk}"'
        " --plates {input.plates:q} --index {input.index:q} --molecules {input.molecules:q} --split {input.split:q} {params.options:q}"
        " --state {params.state:q} --out {output.model:q} 2> {log.messages:q}"


rule gpu_check:
    output:
        f"{RESULTS}/gpu.txt",
    log:
        f"{LOGS}/gpu.log",
    benchmark:
        f"{TIMES}/gpu.tsv"
    # With the first jobs, not after hours of downloads.
    priority: 100
    conda:
        environment("train")
    resources:
        gpu=1,
    message:
        "Looking for the GPU that training needs"
    shell:
        "python -m cloome gpu --out {output:q} 2> {log:q}"
