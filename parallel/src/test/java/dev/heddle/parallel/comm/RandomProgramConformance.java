package dev.heddle.parallel.comm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Random programs: all ranks follow the same random choice of operations on the world and on random
 * sub-groups, with handles left open and awaited in an order of each rank's own, and pauses in
 * different places. Replay with {@code -Dheddle.seed=N}.
 */
abstract class RandomProgramConformance {
  private static final int STEPS = 150;

  abstract World world();

  private static long seed() {
    String given = System.getProperty("heddle.seed", "");
    return given.isEmpty() ? System.nanoTime() : Long.parseLong(given);
  }

  /** An operation under way and what its result must be. */
  private static final class Pending {
    private final Handle handle;
    private final NDArray result;
    private final double[] wanted;
    private final String what;

    Pending(Handle handle, NDArray result, double[] wanted, String what) {
      this.handle = handle;
      this.result = result;
      this.wanted = wanted;
      this.what = what;
    }

    void finish() {
      handle.await();
      assertThat(result.toDoubles()).as(what).isEqualTo(wanted);
      result.free();
    }
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4, 8})
  void aRandomProgram_onAnyNumberOfRanks_givesTheResultsOfOneRank(int ranks) {
    long seed = seed();
    RankBody body =
        (world, device) -> {
          SplittableRandom shared = new SplittableRandom(seed);
          SplittableRandom own = new SplittableRandom(seed + 1000 + world.rank());
          ArrayDeque<Pending> open = new ArrayDeque<>();
          for (int step = 0; step < STEPS; step++) {
            List<Integer> members = randomMembers(shared, ranks);
            Pending pending = step(shared.split(), world, device, members, step, seed);
            if (pending != null) {
              open.add(pending);
            }
            while (open.size() > 6 || (!open.isEmpty() && own.nextInt(3) == 0)) {
              (own.nextBoolean() ? open.removeFirst() : open.removeLast()).finish();
            }
            if (own.nextInt(20) == 0) {
              Thread.sleep(1);
            }
          }
          while (!open.isEmpty()) {
            open.removeFirst().finish();
          }
        };
    try {
      world().run(ranks, World.PATIENT, world().program(body));
    } catch (RankFailedException failure) {
      throw new AssertionError("replay with -Dheddle.seed=" + seed, failure);
    }
  }

  private static List<Integer> randomMembers(SplittableRandom random, int ranks) {
    List<Integer> all = new ArrayList<>();
    for (int i = 0; i < ranks; i++) {
      all.add(i);
    }
    if (random.nextInt(3) == 0) {
      return all;
    }
    List<Integer> members = new ArrayList<>();
    int count = 1 + random.nextInt(ranks);
    for (int i = 0; i < count; i++) {
      members.add(all.remove(/* index */ random.nextInt(all.size())));
    }
    return members;
  }

  /** Posts one operation, the same on all members; null on ranks that are not among them. */
  private static Pending step(
      SplittableRandom random,
      Communicator world,
      Device device,
      List<Integer> members,
      int step,
      long seed) {
    Communicator group = world.subgroup("g" + members, members).orElse(null);
    if (group == null) {
      return null;
    }
    int size = group.size();
    int me = group.rank();
    DType[] dtypes = {DType.F32, DType.F64, DType.BF16, DType.I32, DType.I64};
    DType dtype = dtypes[random.nextInt(dtypes.length)];
    ReduceOp op = ReduceOp.values()[random.nextInt(3)];
    int root = random.nextInt(size);
    long count = random.nextInt(4) == 0 ? random.nextInt(30_000) : random.nextInt(40);
    long[] sizes = new long[size];
    for (int i = 0; i < size; i++) {
      sizes[i] = random.nextInt(20);
    }
    int kind = random.nextInt(6);
    String what = "seed " + seed + " step " + step + " kind " + kind + " " + dtype + " " + op;
    long salt = step * 100L;
    return switch (kind) {
      case 0 -> {
        NDArray array = Values.array(device, dtype, Shape.of(count), salt + me);
        double[] wanted = Values.reduce(dtype, op, members(dtype, count, salt, size));
        yield new Pending(group.allReduce(array, op), array, wanted, what);
      }
      case 1 -> {
        NDArray array = Values.array(device, dtype, Shape.of(count), salt + me);
        double[] wanted =
            me == root
                ? Values.reduce(dtype, op, members(dtype, count, salt, size))
                : Values.of(dtype, count, salt + me);
        yield new Pending(group.reduce(array, op, root), array, wanted, what);
      }
      case 2 -> {
        NDArray array = Values.array(device, dtype, Shape.of(count), salt + me);
        double[] wanted = Values.of(dtype, count, salt + root);
        yield new Pending(group.broadcast(array, root), array, wanted, what);
      }
      case 3 -> {
        NDArray part = Values.array(device, dtype, Shape.of(sizes[me]), salt + me);
        NDArray whole = NDArray.empty(device, dtype, Values.sum(sizes));
        double[] wanted = new double[(int) whole.size()];
        int position = 0;
        for (int i = 0; i < size; i++) {
          System.arraycopy(
              Values.of(dtype, sizes[i], salt + i), 0, wanted, position, (int) sizes[i]);
          position += (int) sizes[i];
        }
        Handle handle = group.allGather(part, Values.split(whole, 0, sizes));
        yield new Pending(handle, whole, wanted, what);
      }
      case 4 -> {
        long total = Values.sum(sizes);
        NDArray whole = Values.array(device, dtype, Shape.of(total), salt + me);
        NDArray part = NDArray.empty(device, dtype, sizes[me]);
        long start = 0;
        for (int i = 0; i < me; i++) {
          start += sizes[i];
        }
        double[] reduced = Values.reduce(dtype, op, members(dtype, total, salt, size));
        double[] wanted = Arrays.copyOfRange(reduced, (int) start, (int) (start + sizes[me]));
        Handle handle = group.reduceScatter(Values.split(whole, 0, sizes), part, op);
        yield new Pending(handle, part, wanted, what);
      }
      default -> {
        int shift = size == 1 ? 0 : 1 + random.nextInt(size - 1);
        NDArray own = Values.array(device, dtype, Shape.of(count), salt + me);
        NDArray other = NDArray.empty(device, dtype, count);
        int from = (me + size - shift) % size;
        Handle handle =
            group.exchange(
                List.of(Message.send((me + shift) % size, own), Message.receive(from, other)));
        yield new Pending(handle, other, Values.of(dtype, count, salt + from), what);
      }
    };
  }

  private static List<double[]> members(DType dtype, long count, long salt, int size) {
    List<double[]> all = new ArrayList<>();
    for (int i = 0; i < size; i++) {
      all.add(Values.of(dtype, count, salt + i));
    }
    return all;
  }

  @Test
  void anOperation_whoseScopeClosesBeforeItIsAwaited_keepsItsMemory() {
    RankBody body =
        (world, device) -> {
          for (int i = 0; i < 50; i++) {
            Handle handle;
            try (MemoryScope inner = MemoryScope.open()) {
              NDArray part = Values.array(device, DType.F32, Shape.of(5_000), world.rank());
              NDArray whole = NDArray.empty(device, DType.F32, 15_000);
              handle =
                  world.allGather(part, Values.split(whole, 0, new long[] {5_000, 5_000, 5_000}));
              assertThat(inner).isNotNull();
            }
            // Would be given the memory of `whole`, if that had gone back to the pool.
            NDArray next = Values.array(device, DType.F32, Shape.of(15_000), i);
            handle.await();
            assertThat(next.toDoubles()).isEqualTo(Values.of(DType.F32, 15_000, i));
            next.free();
          }
          assertThat(device.memory().systemAllocations()).isLessThan(12);
        };
    world().run(3, World.PATIENT, world().program(body));
  }
}
