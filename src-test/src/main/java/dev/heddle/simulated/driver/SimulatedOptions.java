package dev.heddle.simulated.driver;

import dev.heddle.simulated.simt.Launch;

/**
 * How the simulated GPUs are and how they behave.
 *
 * @param lazy whether queued work runs only when something waits for it, and then only as much as
 *     that needs; otherwise it runs when it is queued
 * @param memoryBytes memory of each GPU
 * @param computeCapability ten times the major and one time the minor version, such as 80
 * @param driverVersion what the driver says it is, such as 13000
 * @param memoryPools whether memory can be allocated in stream order
 * @param peerAccess whether the GPUs can reach each other's memory
 * @param stagedPeerCopies whether copies between GPUs that have no access to each other go through
 *     the host, as a real driver sends them, slowly; otherwise they are refused, so that a
 *     forgotten enabling is found
 * @param execution how kernels are executed and watched
 */
public record SimulatedOptions(
    boolean lazy,
    long memoryBytes,
    int computeCapability,
    int driverVersion,
    boolean memoryPools,
    boolean peerAccess,
    boolean stagedPeerCopies,
    Launch.Options execution) {

  /** Lazy GPUs of 256 MiB and compute capability 8.0 that can reach each other. */
  public static SimulatedOptions lazily() {
    return new SimulatedOptions(
        true, 256L << 20, 80, 13_000, true, true, false, Launch.Options.DEFAULT);
  }

  /** The same, but work runs when it is queued: the order that a bug hides in most easily. */
  public static SimulatedOptions eagerly() {
    return lazily().withLazy(false);
  }

  /** These options with lazy or eager streams. */
  public SimulatedOptions withLazy(boolean value) {
    return new SimulatedOptions(
        value,
        memoryBytes,
        computeCapability,
        driverVersion,
        memoryPools,
        peerAccess,
        stagedPeerCopies,
        execution);
  }

  /** These options with GPUs of {@code bytes} memory. */
  public SimulatedOptions withMemoryBytes(long bytes) {
    return new SimulatedOptions(
        lazy,
        bytes,
        computeCapability,
        driverVersion,
        memoryPools,
        peerAccess,
        stagedPeerCopies,
        execution);
  }

  /** These options with GPUs of another compute capability, such as 75. */
  public SimulatedOptions withComputeCapability(int capability) {
    return new SimulatedOptions(
        lazy,
        memoryBytes,
        capability,
        driverVersion,
        memoryPools,
        peerAccess,
        stagedPeerCopies,
        execution);
  }

  /** These options with a driver of another version, such as 11080. */
  public SimulatedOptions withDriverVersion(int version) {
    return new SimulatedOptions(
        lazy,
        memoryBytes,
        computeCapability,
        version,
        memoryPools,
        peerAccess,
        stagedPeerCopies,
        execution);
  }

  /** These options with or without allocation in stream order. */
  public SimulatedOptions withMemoryPools(boolean value) {
    return new SimulatedOptions(
        lazy,
        memoryBytes,
        computeCapability,
        driverVersion,
        value,
        peerAccess,
        stagedPeerCopies,
        execution);
  }

  /** These options with GPUs that can or cannot reach each other's memory. */
  public SimulatedOptions withPeerAccess(boolean value) {
    return new SimulatedOptions(
        lazy,
        memoryBytes,
        computeCapability,
        driverVersion,
        memoryPools,
        value,
        stagedPeerCopies,
        execution);
  }

  /** These options with copies between GPUs going through the host or refused. */
  public SimulatedOptions withStagedPeerCopies(boolean value) {
    return new SimulatedOptions(
        lazy,
        memoryBytes,
        computeCapability,
        driverVersion,
        memoryPools,
        peerAccess,
        value,
        execution);
  }

  /** These options with kernels executed and watched in another way. */
  public SimulatedOptions withExecution(Launch.Options options) {
    return new SimulatedOptions(
        lazy,
        memoryBytes,
        computeCapability,
        driverVersion,
        memoryPools,
        peerAccess,
        stagedPeerCopies,
        options);
  }
}
