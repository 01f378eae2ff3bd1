/**
 * The test plan for NVIDIA GPUs, which {@code jmh/check-gpu} runs: what is there, whether it
 * computes what the processor does, how fast it is, beside PyTorch where that is installed.
 *
 * <p>{@link dev.heddle.jmh.gpu.GpuCheck} leads. The kernel conformance suite and the captioning
 * example say whether the GPU is right; the {@code …Speed} classes time operations, whose {@link
 * dev.heddle.jmh.gpu.Operation} also tells {@code gpu_peer.py} what to time in PyTorch; {@link
 * dev.heddle.jmh.gpu.Sheet} prints all of it and writes it to one JSON file, in one move at the
 * end.
 *
 * <p>On a simulated GPU everything runs too, in sizes that take a minute, and every figure is
 * marked: times on it say nothing about a GPU.
 */
@org.jspecify.annotations.NullMarked
package dev.heddle.jmh.gpu;
