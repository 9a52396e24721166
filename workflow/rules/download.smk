# download: plate archives, metadata per plate, and tables, each as the table of sources says.


rule download_archive:
    input:
        sources=sources(),
    output:
        f"{RESOURCES}/archives/{{plate}}/{{plate}}-{{channel}}.zip",
    log:
        f"{LOGS}/download/{{plate}}-{{channel}}.log",
    benchmark:
        f"{TIMES}/download/{{plate}}-{{channel}}.tsv"
    retries: 2
    conda:
        "../../envs/download.yaml"
    resources:
        downloads=1,
    params:
        expected=expected("plate_archive"),
    message:
        "Fetching the {wildcards.channel} images of plate {wildcards.plate}"
    shell:
        "python -m cloome download --sources {input.sources:q} --source plate_archive"
        " --plate {wildcards.plate:q} --channel {wildcards.channel:q} --out {output:q} 2> {log:q}"


rule download_metadata:
    input:
        sources=sources(),
    output:
        wells=f"{RESOURCES}/plates/{{plate}}/mean_well_profiles.csv",
        quality=f"{RESOURCES}/plates/{{plate}}/qc.csv",
    log:
        f"{LOGS}/download/{{plate}}-metadata.log",
    benchmark:
        f"{TIMES}/download/{{plate}}-metadata.tsv"
    retries: 2
    conda:
        "../../envs/download.yaml"
    resources:
        downloads=1,
    params:
        expected=expected("plate_metadata"),
        folder=lambda wildcards, output: Path(output.wells).parent,
    message:
        "Fetching the well profiles and quality flags of plate {wildcards.plate}"
    shell:
        "python -m cloome download --sources {input.sources:q} --source plate_metadata --plate {wildcards.plate:q}"
        " --members profiles/mean_well_profiles.csv quality_control/qc.csv --out {params.folder:q} 2> {log:q}"


rule download_table:
    input:
        sources=sources(),
    output:
        f"{RESOURCES}/{{table}}",
    log:
        f"{LOGS}/download/{{table}}.log",
    benchmark:
        f"{TIMES}/download/{{table}}.tsv"
    wildcard_constraints:
        table="|".join(TABLES),
    retries: 2
    conda:
        "../../envs/download.yaml"
    resources:
        downloads=1,
    params:
        source=lambda wildcards: TABLES[wildcards.table],
        expected=expected(),
    message:
        "Fetching {wildcards.table}"
    shell:
        "python -m cloome download --sources {input.sources:q} --source {params.source:q} --out {output:q} 2> {log:q}"
