# images: one plate's microscope files become its 8-bit store.


rule images:
    input:
        unpack(plate_files),
        code=code("images"),
    output:
        plate=f"{STORE}/{{plate}}.h5",
        refused=f"{STORE}/{{plate}}.refused.csv",
    log:
        f"{LOGS}/images/{{plate}}.log",
    benchmark:
        f"{TIMES}/images/{{plate}}.tsv"
    conda:
        "../../envs/images.yaml"
    params:
        settings=settings("images"),
        origin=plate_origin,
        rows=plate_rows,
    message:
        "Storing the images of plate {wildcards.plate} with 8 bit"
    shell:
        "python -m cloome images --config <(echo {params.settings:q}) --plate {wildcards.plate:q}"
        " {params.origin:q} --out {output.plate:q} 2> {log:q}"
