# molecules: structures, fingerprints, the index of all fields, and the splits.


rule molecules:
    input:
        structures=structure_tables(),
        wells=well_tables(),
        plates=PLATES,
        refused=REFUSED,
    output:
        index=INDEX,
        left_out=f"{RESULTS}/fields.refused.csv",
        molecules=MOLECULES,
        refused=f"{RESULTS}/molecules.refused.csv",
    log:
        f"{LOGS}/molecules.log",
    benchmark:
        f"{TIMES}/molecules.tsv"
    conda:
        "../../envs/molecules.yaml"
    params:
        code=code("molecules"),
        settings=settings("molecules"),
        resources=lambda wildcards, input: Path(input.structures[0]).parent,
    message:
        "Reading structures and joining them to the fields"
    shell:
        "python -m cloome molecules --config <(echo {params.settings:q}) --plates {input.plates:q} --resources {params.resources:q}"
        " --out-index {output.index:q} --out-molecules {output.molecules:q} 2> {log:q}"


rule split:
    input:
        index=rules.molecules.output.index,
        molecules=rules.molecules.output.molecules,
        tables=split_tables,
    output:
        f"{RESULTS}/splits/{{split}}.csv",
    log:
        f"{LOGS}/splits/{{split}}.log",
    benchmark:
        f"{TIMES}/splits/{{split}}.tsv"
    conda:
        "../../envs/molecules.yaml"
    params:
        code=code("molecules"),
        settings=lambda wildcards: settings("split", wildcards.split),
        resources=lambda wildcards, input: Path(input.tables[0]).parent if input.tables else RESOURCES,
    message:
        "Splitting by the rule {wildcards.split}"
    shell:
        "python -m cloome split --config <(echo {params.settings:q}) --split {wildcards.split:q} --index {input.index:q}"
        " --molecules {input.molecules:q} --resources {params.resources:q} --out {output:q} 2> {log:q}"


rule labelled:
    input:
        structures=structure_tables(),
        labels=label_files(),
    output:
        # No code among the inputs: a new table would have every plate stored again.
        LABELLED,
    log:
        f"{LOGS}/labelled.log",
    benchmark:
        f"{TIMES}/labelled.tsv"
    conda:
        "../../envs/molecules.yaml"
    params:
        settings=settings("labelled"),
        resources=lambda wildcards, input: Path(input.structures[0]).parent,
        labels=label_option,
    message:
        "Looking for compounds with an activity label"
    shell:
        "python -m cloome labelled --config <(echo {params.settings:q}) --resources {params.resources:q}"
        " {params.labels:q} --out {output:q} 2> {log:q}"
