package dev.heddle.parallel.comm.support;

import org.jspecify.annotations.Nullable;

/** Where a rank is, for the message of one that waits for it. */
public final class Whereabouts {
  private static final int SHOWN_FRAMES = 4;
  private static final String IMPLEMENTATIONS = "dev.heddle.parallel.comm.";

  private Whereabouts() {}

  /**
   * For example {@code rank 1 (last completed barrier in world (ranks 0,1), operation 3; is at
   * Trainer.step:41 < Main.main:7)}.
   *
   * @param last what the rank posted last, or null
   * @param ended whether its program has ended
   * @param thread the thread that the rank runs on, or null
   */
  public static String of(
      int globalRank, @Nullable PostedCall last, boolean ended, @Nullable Thread thread) {
    StringBuilder text = new StringBuilder("rank ").append(globalRank);
    if (last == null) {
      text.append(" (has not communicated yet");
    } else {
      String how =
          switch (last.state()) {
            case POSTED -> "posted ";
            case COMPLETED -> "completed ";
            case FAILED -> "failed in ";
          };
      text.append(" (last ").append(how);
      text.append(last.describe()).append(" in ").append(last.where());
    }
    if (ended) {
      return text.append("; its program has ended)").toString();
    }
    if (thread != null) {
      appendFrames(text, thread.getStackTrace());
    }
    return text.append(')').toString();
  }

  /**
   * Refuses threads other than a rank's own.
   *
   * @param own the thread that the rank runs on, or null before it has begun
   */
  public static void checkThread(int globalRank, @Nullable Thread own) {
    if (Thread.currentThread() != own) {
      throw new IllegalStateException(
          "communicator of rank "
              + globalRank
              + " is used by thread "
              + Thread.currentThread().getName()
              + "; only the rank's own thread may communicate, so hand the work to it");
    }
  }

  private static void appendFrames(StringBuilder text, StackTraceElement[] frames) {
    int shown = 0;
    for (StackTraceElement frame : frames) {
      if (isPlumbing(frame.getClassName())) {
        continue;
      }
      text.append(shown == 0 ? "; is at " : " < ");
      text.append(frame.getClassName().substring(frame.getClassName().lastIndexOf('.') + 1));
      text.append('.').append(frame.getMethodName()).append(':').append(frame.getLineNumber());
      if (++shown == SHOWN_FRAMES) {
        return;
      }
    }
  }

  private static boolean isPlumbing(String className) {
    return className.startsWith("java.lang.Thread")
        || className.startsWith("java.util.concurrent")
        || className.startsWith("jdk.internal")
        || className.startsWith("java.lang.foreign")
        || className.startsWith("java.lang.invoke")
        || className.startsWith("dev.heddle.bindings")
        || className.startsWith(IMPLEMENTATIONS + "support.")
        || className.startsWith(IMPLEMENTATIONS + "local.Local")
        || className.startsWith(IMPLEMENTATIONS + "mpi.")
        || className.startsWith(IMPLEMENTATIONS + "nccl.");
  }
}
