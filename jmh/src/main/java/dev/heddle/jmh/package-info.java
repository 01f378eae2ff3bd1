/**
 * Benchmarks. Nothing here asserts a time: machines differ. What is computed is checked, so that no
 * benchmark measures a wrong result.
 *
 * <p>JMH classes ({@code *Benchmark}) measure one primitive or operator:
 *
 * <pre>{@code
 * java -jar jmh/target/heddle-jmh.jar GemmBenchmark
 * }</pre>
 *
 * <p>{@link dev.heddle.jmh.StepComparison} measures whole training steps against a peer, libtorch
 * driven through DJL, and prints ratios: {@code jmh/compare-steps}. Both sides train the same model
 * ({@link dev.heddle.jmh.StepModel}) from the same weights on the same data, each in a JVM of its
 * own, in turns within one run, because on a shared machine only measurements taken side by side
 * can be compared. The peer's side is compiled only with the Maven profile {@code peers}.
 *
 * <p>{@link dev.heddle.jmh.CommunicationComparison} puts the strategies of a boundary beside one
 * another, and operations between ranks beside plain copies: {@code jmh/compare-communication}.
 * {@link dev.heddle.jmh.MpiComparison}, of the same script, puts operations between processes
 * beside the same ones in C.
 *
 * <p>{@code dev.heddle.jmh.gpu} is the test plan for machines with GPUs: {@code jmh/check-gpu}.
 */
@org.jspecify.annotations.NullMarked
package dev.heddle.jmh;
