/**
 * Communication within recorded work.
 *
 * <p>A device records kernels and copies ({@link dev.heddle.runtime.WorkRecorder}); what the host
 * does between them, such as to call NCCL or to move arrays through main memory, has to be done
 * again at every repetition. {@link dev.heddle.parallel.comm.recorded.RecordingCommunicator} is a
 * communicator whose calls, made while a recording is open, become such actions: the call at the
 * place where it was made, the wait for it where it was waited for. So a recorded step communicates
 * as the step did, with the same checks, time limits and counts.
 */
@NullMarked
package dev.heddle.parallel.comm.recorded;

import org.jspecify.annotations.NullMarked;
