# evaluate: every benchmark and control on one run's embeddings.
BENCHMARKS = [
    "retrieval",
    "probing",
    "probing_comparison",
    "zero_shot_molecule",
    "zero_shot_mechanism",
    "replicate_wells",
    "average_precision",
    "batch_effects",
]


rule evaluate:
    input:
        embeddings=rules.embed.output,
        index=rules.molecules.output.index,
        molecules=rules.molecules.output.molecules,
        split=run_split,
        labels=label_files(),
        profiles=profile_files(),
        code=code("evaluate"),
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
        settings=settings("evaluate"),
        labels=label_option,
        profiles=profile_option(),
        folder=lambda wildcards, output: Path(output[0]).parent,
    message:
        "Evaluating {wildcards.run}"
    shell:
        "python -m cloome evaluate --config <(echo {params.settings:q}) --embeddings {input.embeddings:q}"
        " --index {input.index:q} --molecules {input.molecules:q} --split {input.split:q} {params.labels:q}"
        " {params.profiles:q} --out {params.folder:q} 2> {log:q}"
