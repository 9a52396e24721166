# download: plate archives, metadata per plate, and tables, each as the table of sources says.
# `connections` is a resource, so that a profile may change it and nothing is fetched again.


rule download_plate:
    input:
        sources=sources(),
    output:
        # Deleted as soon as the plate is stored; `--notemp` keeps them.
        temp(
            expand(
                f"{RESOURCES}/archives/{{plate}}/{{plate}}-{{channel}}.zip",
                channel=SCREEN.channels,
                allow_missing=True,
            )
        ),
    log:
        f"{LOGS}/download/{{plate}}.log",
    benchmark:
        f"{TIMES}/download/{{plate}}.tsv"
    retries: 2
    conda:
        "../../envs/download.yaml"
    resources:
        downloads=1,
        connections=4,
    params:
        sources=sources_path,
        expected=expected("plate_archive"),
        channels=SCREEN.channels,
        folder=lambda wildcards, output: Path(output[0]).parent,
        record=CHECKSUMS,
    message:
        "Fetching the images of plate {wildcards.plate}"
    shell:
        "python -m cloome download --sources {params.sources:q} --source plate_archive --plate {wildcards.plate:q}"
        " --channels {params.channels:q} --connections {resources.connections} --record {params.record:q}"
        " --out {params.folder:q} 2> {log:q}"


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
        connections=4,
    params:
        sources=sources_path,
        expected=expected("plate_metadata"),
        folder=lambda wildcards, output: Path(output.wells).parent,
        record=CHECKSUMS,
    message:
        "Fetching the well profiles and quality flags of plate {wildcards.plate}"
    shell:
        "python -m cloome download --sources {params.sources:q} --source plate_metadata --plate {wildcards.plate:q}"
        " --members profiles/mean_well_profiles.csv --optional quality_control/qc.csv"
        " --connections {resources.connections} --record {params.record:q} --out {params.folder:q} 2> {log:q}"


rule download_illumination:
    input:
        sources=sources(),
    output:
        expand(
            f"{RESOURCES}/illumination/{{plate}}/{{channel}}.mat",
            channel=SCREEN.channels,
            allow_missing=True,
        ),
    log:
        f"{LOGS}/download/{{plate}}-illumination.log",
    benchmark:
        f"{TIMES}/download/{{plate}}-illumination.tsv"
    retries: 2
    conda:
        "../../envs/download.yaml"
    resources:
        downloads=1,
        connections=4,
    params:
        sources=sources_path,
        expected=expected("plate_metadata"),
        members=illumination_members,
        folder=lambda wildcards, output: Path(output[0]).parent,
        record=CHECKSUMS,
    message:
        "Fetching the illumination functions of plate {wildcards.plate}"
    shell:
        "python -m cloome download --sources {params.sources:q} --source plate_metadata --plate {wildcards.plate:q}"
        " --members {params.members:q} --connections {resources.connections} --record {params.record:q}"
        " --out {params.folder:q} 2> {log:q}"


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
        connections=4,
    params:
        sources=sources_path,
        source=lambda wildcards: TABLES[wildcards.table],
        expected=expected(),
        record=CHECKSUMS,
    message:
        "Fetching {wildcards.table}"
    shell:
        "python -m cloome download --sources {params.sources:q} --source {params.source:q}"
        " --connections {resources.connections} --record {params.record:q} --out {output:q} 2> {log:q}"
