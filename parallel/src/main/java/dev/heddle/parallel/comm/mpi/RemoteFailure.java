package dev.heddle.parallel.comm.mpi;

import java.io.PrintStream;
import java.io.PrintWriter;

/** What a rank in another process threw, as text: its name, message and stack trace. */
public final class RemoteFailure extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final String trace;

  RemoteFailure(String text, String trace) {
    super(text, null, false, false);
    this.trace = trace;
  }

  /** The other process's stack trace. */
  public String trace() {
    return trace;
  }

  /** What the exception itself said there. */
  @Override
  public String toString() {
    return String.valueOf(getMessage());
  }

  @Override
  public void printStackTrace(PrintStream out) {
    out.print(trace);
  }

  @Override
  public void printStackTrace(PrintWriter out) {
    out.print(trace);
  }
}
