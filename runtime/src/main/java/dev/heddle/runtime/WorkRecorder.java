package dev.heddle.runtime;

/**
 * Records what a device is asked to do while it is open, so that the same can be asked for again at
 * little cost; see {@link Device#record}. The work also runs, now: recording a step takes the step.
 *
 * <p>What is recorded are kernels and copies with their arguments as they were: the same addresses,
 * the same scalars, and of values from the host those of now. What is to differ from one run to the
 * next is written into arrays from before the recording, and so are results that are read after it.
 * Within, the host may read nothing and wait for nothing, except in {@link #host}.
 */
public interface WorkRecorder extends AutoCloseable {
  /**
   * Has {@code action} run on the host, now and at this place of each repetition: it may give the
   * device work and wait for it. Arrays that it uses were made within the recording, or stay until
   * the recording is closed.
   */
  void host(Runnable action);

  /** Ends the recording; this recorder is then of no more use. */
  RecordedWork finish();

  /** Gives up what was not {@linkplain #finish() finished}. */
  @Override
  void close();
}
