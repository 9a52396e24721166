# evaluate: every benchmark and control on one run's embeddings. Probing takes longest and has a job of its own.
BENCHMARKS = [
    "retrieval",
    "zero_shot_molecule",
    "zero_shot_mechanism",
    "replicate_wells",
    "average_precision",
    "batch_effects",
]
PROBING = ["probing", "probing_comparison"]


rule evaluate:
    input:
        embeddings=f"{RESULTS}/runs/{{run}}/embeddings.h5",
        index=INDEX,
        molecules=MOLECULES,
        split=run_split,
        profiles=profile_files(),
        gapnet=gapnet_files(),
    output:
        expand(f"{RESULTS}/runs/{{{{run}}}}/evaluation/{{benchmark}}.csv", benchmark=BENCHMARKS),
    log:
        f"{LOGS}/evaluate/{{run}}.log",
    benchmark:
        f"{TIMES}/evaluate/{{run}}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 8
    params:
        code=code("evaluate"),
        settings=settings("evaluate"),
        profiles=profile_option,
        gapnet=gapnet_option,
        benchmarks=BENCHMARKS,
        folder=lambda wildcards, output: Path(output[0]).parent,
    message:
        "Evaluating {wildcards.run}"
    shell:
        "python -m cloome evaluate --config <(echo {params.settings:q}) --embeddings {input.embeddings:q}"
        " --index {input.index:q} --molecules {input.molecules:q} --split {input.split:q} {params.profiles:q}"
        " {params.gapnet:q} --benchmarks {params.benchmarks:q} --out {params.folder:q} 2> {log:q}"


rule probe_baselines:
    input:
        index=INDEX,
        molecules=MOLECULES,
        split=f"{RESULTS}/splits/{{split}}.csv",
        labels=label_files(),
        profiles=profile_files(),
        gapnet=gapnet_files(),
    output:
        f"{RESULTS}/baselines/{{split}}/probing_baselines.csv",
    log:
        f"{LOGS}/probe/baselines-{{split}}.log",
    benchmark:
        f"{TIMES}/probe_baselines/{{split}}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 8
    params:
        code=code("evaluate"),
        settings=settings("evaluate"),
        labels=label_option,
        profiles=profile_option,
        gapnet=gapnet_option,
        folder=lambda wildcards, output: Path(output[0]).parent,
    message:
        "Probing the baselines of the split {wildcards.split}"
    shell:
        "python -m cloome evaluate --config <(echo {params.settings:q}) --index {input.index:q}"
        " --molecules {input.molecules:q} --split {input.split:q} {params.labels:q} {params.profiles:q}"
        " {params.gapnet:q} --benchmarks probing_baselines --out {params.folder:q} 2> {log:q}"


rule probe:
    input:
        embeddings=f"{RESULTS}/runs/{{run}}/embeddings.h5",
        index=INDEX,
        molecules=MOLECULES,
        split=run_split,
        labels=label_files(),
        baselines=run_baselines,
    output:
        expand(f"{RESULTS}/runs/{{{{run}}}}/evaluation/{{benchmark}}.csv", benchmark=PROBING),
    log:
        f"{LOGS}/probe/{{run}}.log",
    benchmark:
        f"{TIMES}/probe/{{run}}.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: 8
    params:
        code=code("evaluate"),
        settings=settings("evaluate"),
        labels=label_option,
        folder=lambda wildcards, output: Path(output[0]).parent,
    message:
        "Probing {wildcards.run}"
    shell:
        "python -m cloome evaluate --config <(echo {params.settings:q}) --embeddings {input.embeddings:q}"
        " --index {input.index:q} --molecules {input.molecules:q} --split {input.split:q} {params.labels:q}"
        " --baselines {input.baselines:q} --benchmarks probing --out {params.folder:q} 2> {log:q}"
