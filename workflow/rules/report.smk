# report: the paper's tables over all runs, and one page that sets "paper" beside "reproduced".
EVALUATIONS = expand(f"{RESULTS}/runs/{{run}}/evaluation/{{benchmark}}.csv", run=RUNS, benchmark=BENCHMARKS)
RUN_FOLDERS = [f"{RESULTS}/runs/{run}" for run in RUNS]


rule table:
    input:
        evaluations=EVALUATIONS,
        code=code("report"),
    output:
        report(
            f"{RESULTS}/report/table_{{number}}.csv",
            category="report",
            labels={"table": "{number}"},
            caption="../report/table.rst",
        ),
    log:
        f"{LOGS}/report/table_{{number}}.log",
    benchmark:
        f"{TIMES}/report/table_{{number}}.tsv"
    wildcard_constraints:
        number="[1-4]",
    conda:
        "../../envs/report.yaml"
    params:
        runs=RUN_FOLDERS,
    message:
        "Collecting table {wildcards.number} over all runs"
    shell:
        "python -m cloome table --number {wildcards.number:q} --runs {params.runs:q} --out {output:q} 2> {log:q}"


rule compare:
    input:
        tables=expand(f"{RESULTS}/report/table_{{number}}.csv", number=[1, 2, 3, 4]),
        code=code("report"),
    output:
        report(f"{RESULTS}/report/scorecard.csv", category="report", caption="../report/scorecard.rst"),
    log:
        f"{LOGS}/report/scorecard.log",
    benchmark:
        f"{TIMES}/report/scorecard.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        settings=settings("report"),
    message:
        "Comparing the tables with the paper's values"
    shell:
        "python -m cloome scorecard --config <(echo {params.settings:q}) --tables {input.tables:q}"
        " --out {output:q} 2> {log:q}"


rule page:
    input:
        evaluations=EVALUATIONS,
        embeddings=expand(f"{RESULTS}/runs/{{run}}/embeddings.h5", run=RUNS),
        training=[] if PUBLISHED else expand(f"{RESULTS}/runs/{{run}}/train_log.csv", run=RUNS),
        tables=expand(f"{RESULTS}/report/table_{{number}}.csv", number=[1, 2, 3, 4]),
        splits=expand(f"{RESULTS}/splits/{{split}}.csv", split=EXPERIMENT.runs.splits),
        index=rules.molecules.output.index,
        molecules=rules.molecules.output.molecules,
        plates=PLATES,
        refused=[*REFUSED, rules.molecules.output.left_out, rules.molecules.output.refused],
        code=code("report"),
    output:
        report(f"{RESULTS}/report/report.html", category="report", caption="../report/page.rst"),
    log:
        f"{LOGS}/report/report.log",
    benchmark:
        f"{TIMES}/report/report.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        settings=settings("report"),
        runs=RUN_FOLDERS,
        splits=lambda wildcards, input: Path(input.splits[0]).parent,
    message:
        "Writing the report"
    shell:
        "python -m cloome report --config <(echo {params.settings:q}) --runs {params.runs:q} --tables {input.tables:q}"
        " --index {input.index:q} --molecules {input.molecules:q} --splits {params.splits:q} --plates {input.plates:q}"
        " --out {output:q} 2> {log:q}"
