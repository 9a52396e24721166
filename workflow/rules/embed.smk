# embed: a model's embeddings of all images and molecules, and GapNet's features of all images.


rule embed:
    input:
        plates=PLATES,
        index=INDEX,
        molecules=MOLECULES,
        model=run_model,
    output:
        f"{RESULTS}/runs/{{run}}/embeddings.h5",
    log:
        f"{LOGS}/embed/{{run}}.log",
    benchmark:
        f"{TIMES}/embed/{{run}}.tsv"
    conda:
        environment("embed")
    threads: 8
    resources:
        gpu=1,
        running=RUNNING,
        local_disk="",
    params:
        code=code("embed"),
        settings=settings("embed"),
    message:
        "Embedding images and molecules with {wildcards.run}"
    shell:
        "python -m cloome embed --config <(echo {params.settings:q}) <(echo {resources.running:q})"
        ' --local-disk "{resources.local_disk}" --plates {input.plates:q} --index {input.index:q}'
        " --molecules {input.molecules:q} --model {input.model:q} --out {output:q} 2> {log:q}"


rule gapnet:
    input:
        plates=PLATES,
        index=INDEX,
        weights=gapnet_weights(),
    output:
        f"{RESULTS}/gapnet.h5",
    log:
        f"{LOGS}/gapnet.log",
    benchmark:
        f"{TIMES}/gapnet.tsv"
    conda:
        environment("embed")
    threads: 8
    resources:
        gpu=1,
        running=RUNNING,
        local_disk="",
    params:
        code=code("embed"),
        # Of which the command reads none: its images are those of the plates.
        settings=settings("images"),
    message:
        "Computing GapNet's features of all images"
    shell:
        "python -m cloome gapnet --config <(echo {params.settings:q}) <(echo {resources.running:q})"
        ' --local-disk "{resources.local_disk}" --plates {input.plates:q} --index {input.index:q}'
        " --weights {input.weights:q} --out {output:q} 2> {log:q}"
