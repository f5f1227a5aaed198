# What is known before the first job, said before it: data, network, disk, batches, GPUs. No rules here.
from snakemake_interface_logger_plugins.common import LogEvent

from longtail.cancelling import cancel_what_is_asked_about
from longtail.scheduling import look_when_it_matters
from longtail.study.jobs import Jobs

# Locally one GPU is used at a time, unless --resources or a profile says otherwise; no job asks for a GPU where none is.
# A cluster's jobs are of its own machines, and are told there.
GPU_LIMITED = "gpu" in workflow.global_resources
GPU_ASKED = GPU_LIMITED or any("gpu" in named for named in workflow.resource_settings.overwrite_resources.values())
if ON_CLUSTER:
    # The limit of a group of jobs, which is one job of the cluster: what follows from a training takes turns on one GPU.
    workflow.register_resource("gpu_slots", 1)
elif workflow.is_main_process and not GPU_LIMITED:
    workflow.register_resource("gpu", int(GPU_ASKED or preflight.may_have_gpu()))

# Each of the trainings that share GPUs asks for one, so there seem to be more. One that has its GPUs alone takes all their slots.
GPUS = workflow.global_resources.get("gpu").value
if PER_GPU > 1 and workflow.is_main_process and not ON_CLUSTER:
    for name in ("gpu", "gpu_slots"):
        workflow.register_resource(name, GPUS * PER_GPU)


def look_ahead(found, jobs):
    """Add to the findings what is known about the GPUs that jobs want on this machine."""
    trainings = [job.wildcards.cut for job in jobs if hasattr(job.wildcards, "phase")]
    wanted = max([resources_of(cut)["gpu"] for cut in trainings], default=0)
    overwritten = workflow.resource_settings.overwrite_resources
    if any("gpu" in named for named in overwritten.values()):
        wanted = max([wanted, *(job.resources.get("gpu", 0) for job in jobs if job.rule.name in overwritten)])
    if ON_CLUSTER or not wanted or (GPU_LIMITED and not GPUS):
        return
    with found.noting():
        there, word = preflight.gpus_for(min(wanted, max(GPUS, 1)), GPU_ASKED)
        if not there:
            workflow.register_resource("gpu", 0)
            workflow.register_resource("gpu_slots", 0)
            found.words.append(word)


LOOKED_AHEAD = []


def before_the_first_job(record):
    """Say what is known once it is decided which jobs will run: Snakemake then logs how many, in a dry run, too."""
    if getattr(record, "event", None) is LogEvent.RUN_INFO and not LOOKED_AHEAD and not workflow.touch:
        LOOKED_AHEAD.append(True)
        look_when_it_matters(workflow.scheduler)
        cancel_what_is_asked_about(getattr(workflow.scheduler, "_executor", None))
        ours = [job for job in workflow.dag.needrun_jobs() if str(job.rule.snakefile).startswith(ROOT)]
        known = Jobs(STUDY)
        try:
            wanted = [preflight.job_of(known, job.wildcards_dict) for job in ours]
            found = preflight.look_ahead(STUDY, filter(None, wanted), RESULTS)
            look_ahead(found, ours)
        except LongtailError as error:
            refuse(error)
        for word in found.words:
            logger.warning(word)
        if found.errors and not workflow.dryrun:
            refuse(found.message())
        if found.errors:
            logger.error(f"error: {found.message()}")
    return True


if workflow.is_main_process and not LOOKING:
    logger.addFilter(before_the_first_job)
