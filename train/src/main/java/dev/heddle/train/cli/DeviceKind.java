package dev.heddle.train.cli;

/** What the option {@code --device} accepts. */
public enum DeviceKind {
  /** The processor's cores. */
  cpu,
  /** NVIDIA GPUs. */
  cuda
}
