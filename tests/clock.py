"How long a call takes, as far as a test may ask on a machine that does other things too."
import gc, time

def seconds(work, tries=3, enough=0.):
    """CPU seconds of this process for the quickest of a few calls of `work`; no further call once `enough` suffices.

    Python's own garbage collection is left out: in a process that ran a thousand tests it walks their heap."""
    took = []
    for _ in range(tries):
        gc.collect()
        gc.disable()
        try:
            began = time.process_time()
            work()
            took.append(time.process_time()-began)
        finally: gc.enable()
        if took[-1] <= enough: break
    return min(took)
