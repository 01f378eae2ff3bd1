package dev.heddle.parallel.mesh;

import java.util.Locale;

/** A direction of a mesh, named after what its ranks divide among themselves. */
public enum Axis {
  /** Tensor parallel: the ranks divide weight matrices. */
  TP,
  /** Context parallel: the ranks divide the positions of a sequence. */
  CP,
  /** Expert parallel: the ranks divide the experts of a mixture. */
  EP,
  /** Data parallel: the ranks divide the samples. */
  DP,
  /** Pipeline parallel: the ranks divide the layers. */
  PP;

  /** The name used in configurations, tables and messages, for example {@code tp}. */
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }
}
