# images: one plate's microscope files become its 8-bit store.


rule listing:
    input:
        images=local(SCREEN.images if SCREEN.kind == "npz" else []),
    output:
        listing=directory(f"{STORE}/npz/listing"),
        refused=f"{STORE}/npz/listing.refused.csv",
    log:
        f"{LOGS}/listing.log",
    benchmark:
        f"{TIMES}/listing.tsv"
    conda:
        "../../envs/images.yaml"
    params:
        code=code("images"),
    message:
        "Listing the npz files of each plate"
    shell:
        "python -m cloome listing --images {input.images:q} --out {output.listing:q} 2> {log:q}"


rule images:
    input:
        unpack(plate_files),
    output:
        plate=f"{STORE}/{{plate}}.h5",
        refused=f"{STORE}/{{plate}}.refused.csv",
    log:
        f"{LOGS}/images/{{plate}}.log",
    benchmark:
        f"{TIMES}/images/{{plate}}.tsv"
    # Before any further download: no more archives lie on the disk than there are jobs at a time.
    priority: 1
    conda:
        "../../envs/images.yaml"
    threads: plate_threads()
    params:
        code=plate_code(),
        settings=settings("images"),
        origin=plate_origin,
        rows=plate_rows,
    message:
        "Storing the images of plate {wildcards.plate} with 8 bit"
    shell:
        "python -m cloome images --config <(echo {params.settings:q}) --plate {wildcards.plate:q}"
        " {params.origin:q} --threads {threads} --out {output.plate:q} 2> {log:q}"
