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
 * <p>{@code dev.heddle.jmh.bench} is {@code ./heddle bench}: boundaries, collectives, operators and
 * whole training steps beside peers. The programs that it leads are here: all train the same models
 * ({@link dev.heddle.jmh.BenchmarkModel}) from the same weights on the same data, or run the same
 * operators ({@link dev.heddle.jmh.BenchmarkedOperator}), each in a JVM of its own, in turns within
 * one run, because on a shared machine only measurements taken side by side can be compared. The
 * peers' sides are compiled only with the Maven profile {@code peers}.
 *
 * <p>{@code dev.heddle.jmh.boundary} has the boundaries between layouts that {@link
 * dev.heddle.jmh.BoundaryBenchmark} and {@code ./heddle bench boundary} measure.
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
