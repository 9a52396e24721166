# simulate: the demo's archive site, in the real layout and formats.


rule simulate:
    output:
        SITE,
    log:
        f"{LOGS}/simulate.log",
    benchmark:
        f"{TIMES}/simulate.tsv"
    conda:
        "../../envs/simulate.yaml"
    params:
        code=code("simulate"),
        settings=settings("simulate"),
        folder=lambda wildcards, output: Path(output[0]).parent,
    message:
        "Simulating a screen: not real data"
    shell:
        "python -m cloome simulate --config <(echo {params.settings:q}) --out {params.folder:q} 2> {log:q}"
