package dev.heddle.parallel.comm.local;

import dev.heddle.parallel.comm.Message;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.ReduceOp;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;

/**
 * Prints what an all-reduce and an exchange take beside plain copies of the same arrays. Asserts
 * nothing. The copy: every rank copies an array to another one, all at once, with a barrier.
 */
public final class AllReduceBenchmark {
  private static final long[] BYTES = {
    256, 4 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20
  };

  private AllReduceBenchmark() {}

  /** Runs with the number of ranks given, two unless said otherwise. */
  @SuppressWarnings("try") // the scope is there to be open
  public static void main(String[] arguments) {
    int ranks = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 2;
    LocalWorld.run(
        ranks,
        RankProgram.onDevice(
            world -> CpuDevice.open("cpu" + world.rank(), 1, CpuBackend.REFERENCE),
            (world, device) -> {
              int next = (world.rank() + 1) % ranks;
              int previous = (world.rank() + ranks - 1) % ranks;
              for (long bytes : BYTES) {
                NDArray array = NDArray.empty(device, DType.F32, bytes / 4);
                NDArray other = NDArray.empty(device, DType.F32, bytes / 4);
                array.segment().fill((byte) 0);
                other.segment().fill((byte) 0);
                List<Message> ring =
                    List.of(Message.send(next, array), Message.receive(previous, other));
                world.barrier();
                double copy =
                    time(
                        bytes,
                        () -> {
                          MemorySegment.copy(array.segment(), 0, other.segment(), 0, bytes);
                          world.barrier();
                        });
                double reduce = time(bytes, () -> world.allReduce(array, ReduceOp.SUM).await());
                double exchange = time(bytes, () -> world.exchange(ring).await());
                if (world.rank() == 0) {
                  // Traffic of an all-reduce: each rank's slice is read from all and written to
                  // all.
                  System.out.printf(
                      Locale.ROOT,
                      "%d ranks %9d bytes: copy+barrier %8.1f us %6.1f GB/s | allReduce %8.1f us"
                          + " %6.1f GB/s (%.2f of the copy's traffic rate) | exchange %8.1f us%n",
                      ranks,
                      bytes,
                      copy,
                      bytes / copy / 1e3,
                      reduce,
                      bytes / reduce / 1e3,
                      copy / reduce,
                      exchange);
                }
                array.free();
                other.free();
              }
            }));
  }

  /** Median microseconds of one call. */
  private static double time(long bytes, Runnable call) {
    int batch = (int) Math.max(1, Math.min(2_000, (4 << 20) / bytes));
    double[] times = new double[bytes > (8 << 20) ? 15 : 41];
    for (int warm = 0; warm < 10; warm++) {
      for (int i = 0; i < batch; i++) {
        call.run();
      }
    }
    for (int t = 0; t < times.length; t++) {
      long start = System.nanoTime();
      for (int i = 0; i < batch; i++) {
        call.run();
      }
      times[t] = (System.nanoTime() - start) / 1e3 / batch;
    }
    Arrays.sort(times);
    return times[times.length / 2];
  }
}
