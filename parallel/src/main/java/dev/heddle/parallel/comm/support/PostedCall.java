package dev.heddle.parallel.comm.support;

import dev.heddle.parallel.comm.Handle;

/** What a rank has posted: a handle that can say what it is. */
public interface PostedCall extends Handle {
  /** How far it has come. */
  enum State {
    POSTED,
    COMPLETED,
    FAILED
  }

  /** How far it has come; may be asked by other threads. */
  State state();

  /** What was called, such as {@code allReduce F32[12] SUM}. */
  String describe();

  /** The group it was called on, and which of its operations it is. */
  String where();
}
