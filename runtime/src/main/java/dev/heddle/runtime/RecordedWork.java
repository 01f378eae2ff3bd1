package dev.heddle.runtime;

/**
 * What a {@link WorkRecorder} has recorded. Keeps the memory that the work used until it is closed.
 */
public interface RecordedWork extends AutoCloseable {
  /** Asks the device for all of it again; returns as soon as it is asked. */
  void repeat();

  /** In how many pieces the work is given to the device: one, and one more for each host action. */
  int pieces();

  /** Gives the memory back. Work that still runs ends undisturbed. */
  @Override
  void close();
}
