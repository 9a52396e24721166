# report: the paper's tables over all runs, and one page that sets "paper" beside "reproduced".
EVALUATIONS = expand(
    f"{RESULTS}/runs/{{run}}/evaluation/{{benchmark}}.csv", run=RUNS, benchmark=[*BENCHMARKS, *PROBING]
)
TABLE_BENCHMARKS = {"1": "retrieval", "2": "probing", "3": "zero_shot_molecule", "4": "zero_shot_mechanism"}


rule table:
    input:
        evaluations=table_evaluations,
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
        code=code("report"),
        settings=settings("evaluate"),
        runs=run_folders,
    message:
        "Collecting table {wildcards.number} over its runs"
    shell:
        "python -m cloome table --config <(echo {params.settings:q}) --number {wildcards.number:q}"
        " --runs {params.runs:q} --out {output:q} 2> {log:q}"


rule compare:
    input:
        tables=expand(f"{RESULTS}/report/table_{{number}}.csv", number=[1, 2, 3, 4]),
    output:
        report(f"{RESULTS}/report/scorecard.csv", category="report", caption="../report/scorecard.rst"),
    log:
        f"{LOGS}/report/scorecard.log",
    benchmark:
        f"{TIMES}/report/scorecard.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        code=code("report"),
        settings=settings("report"),
    message:
        "Comparing the tables with the paper's values"
    shell:
        "python -m cloome scorecard --config <(echo {params.settings:q}) --tables {input.tables:q}"
        " --out {output:q} 2> {log:q}"


rule methods:
    input:
        evaluations=expand(f"{RESULTS}/runs/{{run}}/evaluation/probing.csv", run=RUNS),
    output:
        report(f"{RESULTS}/report/methods.csv", category="report", caption="../report/methods.rst"),
    log:
        f"{LOGS}/report/methods.log",
    benchmark:
        f"{TIMES}/report/methods.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        code=code("report"),
        runs=run_folders,
    message:
        "Comparing the methods over the activity tasks"
    shell:
        "python -m cloome methods --runs {params.runs:q} --out {output:q} 2> {log:q}"


rule page:
    input:
        evaluations=EVALUATIONS,
        embeddings=expand(f"{RESULTS}/runs/{{run}}/embeddings.h5", run=RUNS),
        training=[] if PUBLISHED else expand(f"{RESULTS}/runs/{{run}}/train_log.csv", run=RUNS),
        tables=expand(f"{RESULTS}/report/table_{{number}}.csv", number=[1, 2, 3, 4]),
        methods=rules.methods.output,
        splits=expand(f"{RESULTS}/splits/{{split}}.csv", split=EXPERIMENT.runs.splits),
        index=INDEX,
        molecules=MOLECULES,
        plates=PLATES,
        refused=[*REFUSED, f"{RESULTS}/fields.refused.csv", f"{RESULTS}/molecules.refused.csv"],
    output:
        report(f"{RESULTS}/report/report.html", category="report", caption="../report/page.rst"),
    log:
        f"{LOGS}/report/report.log",
    benchmark:
        f"{TIMES}/report/report.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        code=code("report"),
        settings=settings("report"),
        runs=run_folders,
        splits=lambda wildcards, input: Path(input.splits[0]).parent,
    message:
        "Writing the report"
    shell:
        "python -m cloome report --config <(echo {params.settings:q}) --runs {params.runs:q} --tables {input.tables:q}"
        " --index {input.index:q} --molecules {input.molecules:q} --splits {params.splits:q} --plates {input.plates:q}"
        " --out {output:q} 2> {log:q}"
