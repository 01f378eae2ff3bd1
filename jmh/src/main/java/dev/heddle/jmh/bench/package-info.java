/**
 * {@code ./heddle bench}: what Heddle costs beside others, as ratios of one run.
 *
 * <p>{@link dev.heddle.jmh.bench.BenchCommand} measures a selection and hands {@code Row}s to
 * {@code BenchTable}. Whatever stands in one row was measured in turns on the same machine, results
 * compared before, and the row tells medians; less is always better.
 *
 * <p>The peers are libtorch through JavaCPP and through DJL ({@code Peers}), each in processes of
 * its own; their programs are in {@code src/peers} and are compiled with the Maven profile {@code
 * peers} only.
 */
@org.jspecify.annotations.NullMarked
package dev.heddle.jmh.bench;
