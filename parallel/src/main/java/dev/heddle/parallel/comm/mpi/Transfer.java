package dev.heddle.parallel.comm.mpi;

import dev.heddle.parallel.comm.mpi.StagingPool.Buffer;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * Bytes on their way between this rank and another, in as many messages as their number needs. Owns
 * its staging memory, if it has any, until the last message is done.
 */
final class Transfer {
  /** What is to happen when the bytes have left or come. */
  @FunctionalInterface
  interface Completion {
    void done(Transfer transfer);
  }

  final @Nullable Buffer staged;
  private final MemorySegment[] requests;
  private final @Nullable Completion completion;
  private int firstOpen;

  Transfer(MemorySegment[] requests, @Nullable Buffer staged, @Nullable Completion completion) {
    this.requests = requests;
    this.staged = staged;
    this.completion = completion;
  }

  /** Whether all messages are done; asking makes progress. */
  boolean test(MpiLibrary mpi) {
    while (firstOpen < requests.length && mpi.test(requests[firstOpen])) {
      firstOpen++;
    }
    return firstOpen == requests.length;
  }

  /** The handles of the messages, to be used again. */
  MemorySegment[] requests() {
    return requests;
  }

  void complete() {
    if (completion != null) {
      completion.done(this);
    }
  }
}
