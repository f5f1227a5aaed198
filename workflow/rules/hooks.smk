# What happens when the first job is about to start, and when the last one has ended. No rules here. Snakemake runs none of
# it in a dry run, where nothing is to be done, in jobs, and where another workflow imports this one.
import subprocess

from longtail.processes import claim
from longtail.study import asked

CLAIMED = []
FOLLOWERS = []  # who keeps the page of all results up to date, in a process of its own

PAGE_LOG = moved(layout.overview_log("page", NAME))
PAGE_PATIENCE = 300  # seconds for the last page, which takes a few


def follow():
    """Start to write the page whenever something has changed. It ends with its input, so when this process does."""
    command = [sys.executable, "-m", "longtail", "page", "--follow", "--results", RESULTS]
    command += ["--config", config_for(*asked.of_page(STUDY, TARGETED))]
    try:
        Path(PAGE_LOG).parent.mkdir(parents=True, exist_ok=True)
        with open(PAGE_LOG, "w", encoding="utf-8") as log:
            # A session of its own, which Ctrl-C does not reach: the last page is written after it, too.
            own = {"stdin": subprocess.PIPE, "stdout": log, "stderr": log, "start_new_session": True}
            FOLLOWERS.append(subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, **own))
    except OSError as error:  # no result hangs on it
        logger.warning(f"The page of all results is not kept up to date: {error}.")


def last_page():
    """Have the page written as things are now, and say where it is."""
    for follower in FOLLOWERS:
        follower.stdin.close()
        try:
            failed = follower.wait(PAGE_PATIENCE)
        except subprocess.TimeoutExpired:
            follower.kill()
            failed = True
        page = Path(moved(layout.page(NAME)))
        if failed:
            logger.warning(
                f"The page of all results could not be written: see {PAGE_LOG}, then `snakemake --cores 1 page`."
            )
        else:
            logger.info(f"All results: {page.absolute().as_uri() if sys.stderr.isatty() else page}")


onstart:
    if "--nolock" not in sys.argv:  # with which `status` looks at a study that is running
        try:
            CLAIMED.append(claim(RESULTS))  # open as long as this process lives
        except LongtailError as error:
            refuse(error)
    if not (LOOKING or workflow.touch or os.environ.get("LONGTAIL_PAGE") == "off"):
        follow()


onsuccess:
    last_page()


onerror:
    last_page()
