# The experiment from end to end. Each stage has its rule file below workflow/rules/; targets stand here.
from snakemake.utils import min_version

min_version("9.19")

# Without --configfile this is the demo. A configfile given on the command line replaces it as a whole.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/code.smk"
include: "workflow/rules/resume.smk"
include: "workflow/rules/turns.smk"
include: "workflow/rules/start.smk"
include: "workflow/rules/simulate.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/images.smk"
include: "workflow/rules/molecules.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/embed.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/provenance.smk"


# With --sdm apptainer, jobs run in this image (docs/containers.md).
if (ROOT / "cloome.sif").is_file():

    containerized: str(ROOT / "cloome.sif")


localrules:
    all,
    demo_data,
    plates,
    provenance,
    train,
    embeddings,
    table_1,
    table_2,
    table_3,
    table_4,
    scorecard,
    report,


rule all:
    """Everything: the report and all that it needs."""
    default_target: True
    input:
        f"{RESULTS}/report/report.html",
        f"{RESULTS}/report/scorecard.csv",
        f"{RESULTS}/report/methods.csv",
        f"{RESULTS}/ro-crate-metadata.json",
        # If training must run on a GPU, whether there is one is seen first.
        f"{RESULTS}/gpu.txt" if EXPERIMENT.running.gpu else [],
        # The report exists without these, once it is written; named here, they are made again when they are gone.
        [] if PUBLISHED else expand(f"{RESULTS}/runs/{{run}}/model.pt", run=RUNS),
        expand(f"{RESULTS}/runs/{{run}}/embeddings.h5", run=RUNS),
        EVALUATIONS,
        expand(f"{RESULTS}/report/table_{{number}}.csv", number=[1, 2, 3, 4]),


rule demo_data:
    """The simulated archive site of the demo."""
    input:
        SITE if EXPERIMENT.simulate else [],


rule plates:
    """The 8-bit image store of every plate."""
    input:
        PLATES,


rule train:
    """One trained model per split, method and seed."""
    input:
        [] if PUBLISHED else expand(f"{RESULTS}/runs/{{run}}/model.pt", run=RUNS),


rule embeddings:
    """Image and molecule embeddings of every model."""
    input:
        expand(f"{RESULTS}/runs/{{run}}/embeddings.h5", run=RUNS),


rule table_1:
    """Retrieval, structure to image and image to structure."""
    input:
        f"{RESULTS}/report/table_1.csv",


rule table_2:
    """Linear probing of the activity labels."""
    input:
        f"{RESULTS}/report/table_2.csv",


rule table_3:
    """Zero-shot classification of molecules by image."""
    input:
        f"{RESULTS}/report/table_3.csv",


rule table_4:
    """Zero-shot classification of mechanisms by image."""
    input:
        f"{RESULTS}/report/table_4.csv",


rule scorecard:
    """The paper's values beside the reproduced ones, with verdicts."""
    input:
        f"{RESULTS}/report/scorecard.csv",


rule report:
    """The page that sets "paper" beside "reproduced"."""
    input:
        f"{RESULTS}/report/report.html",


onstart:
    print(
        f"Experiment '{EXPERIMENT.name}': {len(PLATES)} plates, {len(RUNS)} runs. Results: {RESULTS}/, logs: {LOGS}/"
    )
    write_record(COMMANDS, sys.argv, EXPERIMENT, ROOT, ROOT / "envs" if IN_CONDA else None)
    end_turn()


onsuccess:
    page = Path(RESULTS) / "report/report.html"
    print(f"Done. The report: {page}" if page.is_file() else f"Done. Results: {RESULTS}/")


onerror:
    print(f"Stopped. The log of the job that failed is shown above and lies in {LOGS}/. The same command resumes.")
