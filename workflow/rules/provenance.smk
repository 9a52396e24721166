# provenance: what stands behind a folder of results, as an RO-Crate. The last rule, so that it describes what is there.
# Commands, versions and machines differ from run to run: they are written down when Snakemake starts jobs, into files
# that no rule has as inputs, so that none of it makes a job run again.
from cloome.provenance.record import write_record

COMMANDS = f"{LOGS}/commands"
CRATE = f"{RESULTS}/ro-crate-metadata.json"


rule provenance:
    input:
        sources=sources(),
        structures=structure_tables(),
        wells=well_tables(),
        labels=label_files(),
        splits=published_splits(),
        gapnet=gapnet_weights(),
        models=(
            []
            if PUBLISHED
            else expand(f"{RESULTS}/runs/{{run}}/{{file}}", run=RUNS, file=["model.pt", "train_log.csv"])
        ),
        results=[
            *rules.page.output,
            *rules.compare.output,
            *rules.methods.output,
            *rules.page.input.tables,
            *rules.page.input.splits,
            *rules.molecules.output,
            *EVALUATIONS,
        ],
    output:
        crate=CRATE,
        records=f"{RESULTS}/provenance.json",
        config=f"{RESULTS}/config.yaml",
    log:
        f"{LOGS}/provenance.log",
    benchmark:
        f"{TIMES}/provenance.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        records=COMMANDS,
        inputs=origins,
        checksums=CHECKSUMS,
        # Where the local copies of a storage lie; empty without one.
        base=lambda wildcards, output: output.crate.removesuffix(CRATE),
        folder=lambda wildcards, output: Path(output.crate).parent,
    message:
        "Stating where the results come from"
    shell:
        "python -m cloome provenance --records {params.records:q} --inputs {params.inputs:q}"
        " --checksums {params.checksums:q} --results {input.results:q} {input.models:q} --base={params.base:q}"
        " --out {params.folder:q} 2> {log:q}"
