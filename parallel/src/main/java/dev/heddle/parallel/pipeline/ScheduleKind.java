package dev.heddle.parallel.pipeline;

/** In which order the stages of a model work on microbatches; all give the same result. */
public enum ScheduleKind {
  /** All microbatches forward, then all back (Huang et al., "GPipe", 2019). */
  GPIPE("gpipe"),
  /**
   * Backward as soon as possible; a stage starts as many microbatches as it is far from the end
   * (Narayanan et al., "PipeDream-Flush", 2021).
   */
  ONE_FORWARD_ONE_BACKWARD("1f1b"),
  /** 1F1B with several stages a rank (Narayanan et al., "Megatron-LM", 2021). */
  INTERLEAVED("interleaved"),
  /** Weight gradients fill the bubbles (Qi et al., "Zero Bubble Pipeline Parallelism", 2024). */
  ZERO_BUBBLE("zero-bubble");

  private final String label;

  ScheduleKind(String label) {
    this.label = label;
  }

  /** The name used in configurations and tables. */
  public String label() {
    return label;
  }
}
