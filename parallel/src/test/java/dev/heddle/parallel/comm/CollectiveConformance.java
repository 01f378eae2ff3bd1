package dev.heddle.parallel.comm;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the collectives of every {@link Communicator} do. Each rank checks its own results. */
abstract class CollectiveConformance {
  private static final List<DType> REDUCIBLE =
      List.of(DType.F32, DType.F64, DType.BF16, DType.I32, DType.I64);
  private static final long[] SIZES = {0, 1, 7, 64, 1000};
  private static final long LARGE = 300_001;

  abstract World world();

  private void run(int ranks, RankBody body) {
    world().run(ranks, World.PATIENT, world().program(body));
  }

  private static List<double[]> ofMembers(DType dtype, long count, int members) {
    List<double[]> all = new ArrayList<>();
    for (int i = 0; i < members; i++) {
      all.add(Values.of(dtype, count, i));
    }
    return all;
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 8})
  void allReduce_anyDtypeSizeAndReduction_combinesInMemberOrder(int ranks) {
    run(
        ranks,
        (world, device) -> {
          for (DType dtype : REDUCIBLE) {
            for (ReduceOp op : ReduceOp.values()) {
              for (long size : SIZES) {
                NDArray array = Values.array(device, dtype, Shape.of(size), world.rank());
                world.allReduce(array, op).await();
                assertThat(array.toDoubles())
                    .as("%s %s of %d elements", op, dtype, size)
                    .isEqualTo(Values.reduce(dtype, op, ofMembers(dtype, size, ranks)));
              }
            }
          }
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 8})
  void allReduce_moreThanOneMebibyte_combinesInMemberOrder(int ranks) {
    run(
        ranks,
        (world, device) -> {
          for (DType dtype : List.of(DType.F32, DType.BF16)) {
            NDArray array = Values.array(device, dtype, Shape.of(LARGE), world.rank());
            world.allReduce(array, ReduceOp.SUM).await();
            assertThat(array.toDoubles())
                .isEqualTo(Values.reduce(dtype, ReduceOp.SUM, ofMembers(dtype, LARGE, ranks)));
          }
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4})
  void allReduceAndBroadcast_columnsOfAMatrix_leaveTheOtherColumnsAlone(int ranks) {
    run(
        ranks,
        (world, device) -> {
          // Enough rows that ranks share the work at places within a row.
          long rows = 101;
          double[] before = Values.of(DType.F32, rows * 7, world.rank());
          NDArray matrix = NDArray.of(device, DType.F32, Shape.of(rows, 7), before);
          world.allReduce(matrix.slice(1, 2, 5), ReduceOp.SUM).await();
          world.broadcast(matrix.slice(1, 6, 7), 0).await();
          double[] sum =
              Values.reduce(DType.F32, ReduceOp.SUM, ofMembers(DType.F32, rows * 7, ranks));
          double[] after = matrix.toDoubles();
          for (int i = 0; i < after.length; i++) {
            int column = i % 7;
            double wanted =
                column >= 2 && column < 5
                    ? sum[i]
                    : column == 6 ? Values.of(DType.F32, rows * 7, 0)[i] : before[i];
            assertThat(after[i]).as("element %d", i).isEqualTo(wanted);
          }
        });
  }

  @Test
  void allReduce_maximumWithNotANumber_isNotANumberOnEveryRank() {
    run(
        3,
        (world, device) -> {
          double own = world.rank() == 1 ? Double.NaN : world.rank();
          NDArray array = NDArray.of(device, DType.F32, Shape.of(2), own, 1);
          world.allReduce(array, ReduceOp.MAX).await();
          assertThat(array.toDoubles()).containsExactly(Double.NaN, 1);
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 8})
  void reduce_toEachRoot_changesOnlyTheRoot(int ranks) {
    run(
        ranks,
        (world, device) -> {
          for (int root = 0; root < ranks; root++) {
            for (DType dtype : REDUCIBLE) {
              NDArray array = Values.array(device, dtype, Shape.of(33), world.rank());
              world.reduce(array, ReduceOp.SUM, root).await();
              double[] wanted =
                  world.rank() == root
                      ? Values.reduce(dtype, ReduceOp.SUM, ofMembers(dtype, 33, ranks))
                      : Values.of(dtype, 33, world.rank());
              assertThat(array.toDoubles()).isEqualTo(wanted);
            }
          }
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 8})
  void broadcast_fromEachRoot_givesEveryRankTheRootsBytes(int ranks) {
    run(
        ranks,
        (world, device) -> {
          for (int root = 0; root < ranks; root++) {
            for (DType dtype : DType.values()) {
              for (long size : new long[] {0, 1, 129, 40_000}) {
                NDArray array = Values.array(device, dtype, Shape.of(size), world.rank());
                world.broadcast(array, root).await();
                assertThat(array.toDoubles()).isEqualTo(Values.of(dtype, size, root));
              }
            }
          }
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 8})
  void allGather_unevenParts_givesEveryRankAllPartsInMemberOrder(int ranks) {
    run(
        ranks,
        (world, device) -> {
          for (DType dtype : DType.values()) {
            long[] sizes = Values.unevenSizes(ranks, 1);
            NDArray part =
                Values.array(device, dtype, Shape.of(sizes[world.rank()], 3), world.rank());
            NDArray whole = NDArray.empty(device, dtype, Values.sum(sizes), 3);
            world.allGather(part, Values.split(whole, 0, sizes)).await();
            assertThat(whole.toDoubles()).isEqualTo(concatenated(dtype, sizes, 3));
          }
        });
  }

  private static double[] concatenated(DType dtype, long[] sizes, int columns) {
    double[] all = new double[0];
    for (int i = 0; i < sizes.length; i++) {
      double[] part = Values.of(dtype, sizes[i] * columns, i);
      all = Arrays.copyOf(all, all.length + part.length);
      System.arraycopy(part, 0, all, all.length - part.length, part.length);
    }
    return all;
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4})
  void allGather_alongTheColumns_placesThePartsSideBySide(int ranks) {
    run(
        ranks,
        (world, device) -> {
          long[] widths = Values.unevenSizes(ranks, 2);
          NDArray part =
              Values.array(device, DType.F32, Shape.of(4, widths[world.rank()]), world.rank());
          NDArray whole = NDArray.empty(device, DType.F32, 4, Values.sum(widths));
          world.allGather(part, Values.split(whole, 1, widths)).await();
          double[] got = whole.toDoubles();
          int position = 0;
          for (int row = 0; row < 4; row++) {
            for (int member = 0; member < ranks; member++) {
              double[] source = Values.of(DType.F32, 4 * widths[member], member);
              for (int column = 0; column < widths[member]; column++) {
                assertThat(got[position++])
                    .isEqualTo(source[(int) (row * widths[member] + column)]);
              }
            }
          }
        });
  }

  @Test
  void allGather_partInPlace_keepsIt() {
    run(
        3,
        (world, device) -> {
          NDArray whole = Values.array(device, DType.F64, Shape.of(6), world.rank());
          List<NDArray> parts = Values.split(whole, 0, new long[] {2, 2, 2});
          world.allGather(parts.get(world.rank()), parts).await();
          double[] wanted = new double[6];
          for (int i = 0; i < 6; i++) {
            wanted[i] = Values.of(DType.F64, 6, i / 2)[i];
          }
          assertThat(whole.toDoubles()).isEqualTo(wanted);
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 8})
  void gatherThenScatter_fromEachRoot_movesUnevenPartsThereAndBack(int ranks) {
    run(
        ranks,
        (world, device) -> {
          long[] sizes = Values.unevenSizes(ranks, 3);
          for (int root = 0; root < ranks; root++) {
            for (DType dtype : DType.values()) {
              NDArray part =
                  Values.array(device, dtype, Shape.of(sizes[world.rank()]), world.rank());
              NDArray whole = NDArray.empty(device, dtype, Values.sum(sizes));
              List<NDArray> parts =
                  world.rank() == root ? Values.split(whole, 0, sizes) : List.of();
              world.gather(part, parts, root).await();
              if (world.rank() == root) {
                assertThat(whole.toDoubles()).isEqualTo(concatenated(dtype, sizes, 1));
              }
              NDArray back = NDArray.empty(device, dtype, sizes[world.rank()]);
              world.scatter(parts, back, root).await();
              assertThat(back.toDoubles()).isEqualTo(part.toDoubles());
            }
          }
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 8})
  void reduceScatter_unevenParts_givesEachRankItsPartOfTheReduction(int ranks) {
    run(
        ranks,
        (world, device) -> {
          long[] sizes = Values.unevenSizes(ranks, 4);
          long total = Values.sum(sizes);
          for (DType dtype : REDUCIBLE) {
            for (ReduceOp op : ReduceOp.values()) {
              NDArray whole = Values.array(device, dtype, Shape.of(total), world.rank());
              List<NDArray> parts = Values.split(whole, 0, sizes);
              NDArray part = NDArray.empty(device, dtype, sizes[world.rank()]);
              world.reduceScatter(parts, part, op).await();
              assertThat(part.toDoubles())
                  .as("%s %s", op, dtype)
                  .isEqualTo(reducedPart(dtype, op, sizes, world.rank()));
              assertThat(whole.toDoubles()).isEqualTo(Values.of(dtype, total, world.rank()));
            }
          }
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 4})
  void reduceScatter_intoItsOwnPart_worksInPlace(int ranks) {
    run(
        ranks,
        (world, device) -> {
          long[] sizes = Values.unevenSizes(ranks, 5);
          NDArray whole =
              Values.array(device, DType.F32, Shape.of(Values.sum(sizes)), world.rank());
          List<NDArray> parts = Values.split(whole, 0, sizes);
          NDArray part = parts.get(world.rank());
          world.reduceScatter(parts, part, ReduceOp.SUM).await();
          assertThat(part.toDoubles())
              .isEqualTo(reducedPart(DType.F32, ReduceOp.SUM, sizes, world.rank()));
        });
  }

  private static double[] reducedPart(DType dtype, ReduceOp op, long[] sizes, int member) {
    long total = Values.sum(sizes);
    double[] reduced = Values.reduce(dtype, op, ofMembers(dtype, total, sizes.length));
    int start = 0;
    for (int i = 0; i < member; i++) {
      start += (int) sizes[i];
    }
    return Arrays.copyOfRange(reduced, start, start + (int) sizes[member]);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4, 8})
  void allToAll_unevenParts_transposesTheTableOfParts(int ranks) {
    run(
        ranks,
        (world, device) -> {
          int me = world.rank();
          for (DType dtype : DType.values()) {
            List<NDArray> sources = new ArrayList<>();
            List<NDArray> destinations = new ArrayList<>();
            for (int i = 0; i < ranks; i++) {
              sources.add(Values.array(device, dtype, Shape.of(tableSize(me, i)), 100L * me + i));
              destinations.add(NDArray.empty(device, dtype, tableSize(i, me)));
            }
            world.allToAll(sources, destinations).await();
            for (int i = 0; i < ranks; i++) {
              assertThat(destinations.get(i).toDoubles())
                  .isEqualTo(Values.of(dtype, tableSize(i, me), 100L * i + me));
            }
          }
        });
  }

  private static long tableSize(int from, int to) {
    return (from * 3L + to * 5L) % 11;
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 5})
  void hostValues_ofEveryRank_areCombinedAndGathered(int ranks) {
    run(
        ranks,
        (world, device) -> {
          int me = world.rank();
          assertThat(world.allReduce(me + 0.25, ReduceOp.SUM))
              .isEqualTo(ranks * (ranks - 1) / 2.0 + 0.25 * ranks);
          assertThat(world.allReduce(me - 3L, ReduceOp.MIN)).isEqualTo(-3L);
          double[] doubles = {me, -me, 1};
          world.allReduce(doubles, ReduceOp.MAX);
          assertThat(doubles).containsExactly(ranks - 1, 0, 1);
          long[] longs = {1L << 40, me};
          world.allReduce(longs, ReduceOp.SUM);
          assertThat(longs).containsExactly(ranks * (1L << 40), ranks * (ranks - 1L) / 2);
          long[] own = new long[me];
          Arrays.fill(own, me);
          long[][] all = world.allGather(own);
          assertThat(all).hasNumberOfRows(ranks);
          for (int i = 0; i < ranks; i++) {
            assertThat(all[i]).hasSize(i).containsOnly(longOrNothing(i));
          }
        });
  }

  private static long[] longOrNothing(int member) {
    return member == 0 ? new long[0] : new long[] {member};
  }

  @ParameterizedTest
  @ValueSource(ints = {2, 3, 8})
  void allReduce_repeated_givesTheSameBitsOnEveryRankAndInEveryRun(int ranks) {
    run(
        ranks,
        (world, device) -> {
          long first = 0;
          for (int attempt = 0; attempt < 20; attempt++) {
            NDArray array = Values.array(device, DType.F32, Shape.of(20_011), world.rank());
            if ((world.rank() + attempt) % 3 == 0) {
              Thread.sleep(1);
            }
            Handle handle = world.allReduce(array, ReduceOp.SUM);
            if ((world.rank() + attempt) % 2 == 0) {
              Thread.sleep(1);
            }
            handle.await();
            long bits = Arrays.hashCode(array.toDoubles());
            first = attempt == 0 ? bits : first;
            assertThat(bits).isEqualTo(first);
            array.free();
          }
          for (long[] other : world.allGather(new long[] {first})) {
            assertThat(other[0]).isEqualTo(first);
          }
        });
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 4})
  void allGatherAndReduceScatter_unevenParts_areAdjoint(int ranks) {
    run(
        ranks,
        (world, device) -> {
          int me = world.rank();
          long[] sizes = Values.unevenSizes(ranks, 6);
          long total = Values.sum(sizes);
          NDArray x = Values.array(device, DType.F64, Shape.of(sizes[me]), 10 + me);
          NDArray y = Values.array(device, DType.F64, Shape.of(total), 20 + me);
          NDArray gathered = NDArray.empty(device, DType.F64, total);
          world.allGather(x, Values.split(gathered, 0, sizes)).await();
          NDArray reduced = NDArray.empty(device, DType.F64, sizes[me]);
          world.reduceScatter(Values.split(y, 0, sizes), reduced, ReduceOp.SUM).await();
          double left =
              world.allReduce(Values.dot(gathered.toDoubles(), y.toDoubles()), ReduceOp.SUM);
          double right =
              world.allReduce(Values.dot(x.toDoubles(), reduced.toDoubles()), ReduceOp.SUM);
          assertThat(left).isCloseTo(right, org.assertj.core.data.Offset.offset(1e-12 * total));
        });
  }

  @Test
  void handles_awaitedInReverseOrder_allComplete() {
    run(
        3,
        (world, device) -> {
          List<NDArray> arrays = new ArrayList<>();
          List<Handle> handles = new ArrayList<>();
          for (int i = 0; i < 40; i++) {
            NDArray array = NDArray.of(device, DType.F64, Shape.of(2), world.rank(), i);
            arrays.add(array);
            handles.add(world.allReduce(array, ReduceOp.SUM));
          }
          for (int i = handles.size() - 1; i >= 0; i--) {
            handles.get(i).await();
            assertThat(handles.get(i).isDone()).isTrue();
            handles.get(i).await();
            assertThat(arrays.get(i).toDoubles()).containsExactly(3, 3.0 * i);
          }
        });
  }

  @Test
  void isDone_polledByAllRanks_becomesTrue() {
    run(
        2,
        (world, device) -> {
          NDArray array = Values.array(device, DType.F32, Shape.of(LARGE), world.rank());
          Handle handle = world.allReduce(array, ReduceOp.SUM);
          while (!handle.isDone()) {
            Thread.onSpinWait();
          }
          assertThat(array.toDoubles())
              .isEqualTo(Values.reduce(DType.F32, ReduceOp.SUM, ofMembers(DType.F32, LARGE, 2)));
        });
  }

  @Test
  void subgroups_ofAMeshsAxes_communicateOnTheirOwn() {
    run(
        8,
        (world, device) -> {
          int me = world.rank();
          // tp=4 fastest, dp=2.
          List<Integer> tpRanks = new ArrayList<>();
          List<Integer> dpRanks = List.of(me % 4, me % 4 + 4);
          for (int i = 0; i < 4; i++) {
            tpRanks.add(me / 4 * 4 + i);
          }
          Communicator tp = world.subgroup("tp", tpRanks).orElseThrow();
          Communicator dp = world.subgroup("dp", dpRanks).orElseThrow();
          assertThat(world.subgroup("tp", tpRanks)).containsSame(tp);
          assertThat(world.subgroup("other", List.of((me + 1) % 8))).isEmpty();
          assertThat(tp.globalRanks()).isEqualTo(tpRanks);
          assertThat(tp.rank()).isEqualTo(me % 4);
          assertThat(dp.globalRank(1)).isEqualTo(me % 4 + 4);
          for (int i = 0; i < 10; i++) {
            NDArray alongTp = NDArray.of(device, DType.F64, Shape.of(1), me);
            NDArray alongDp = NDArray.of(device, DType.F64, Shape.of(1), me);
            Handle first = tp.allReduce(alongTp, ReduceOp.SUM);
            Handle second = dp.allReduce(alongDp, ReduceOp.SUM);
            // Ranks await in different orders: handles are independent of each other.
            (me % 2 == 0 ? first : second).await();
            (me % 2 == 0 ? second : first).await();
            assertThat(alongTp.item()).isEqualTo(me < 4 ? 6 : 22);
            assertThat(alongDp.item()).isEqualTo(me % 4 * 2 + 4);
          }
        });
  }

  @Test
  void subgroup_inAnotherOrder_reducesInThatOrder() {
    run(
        3,
        (world, device) -> {
          Communicator reversed = world.subgroup("reversed", List.of(2, 1, 0)).orElseThrow();
          assertThat(reversed.rank()).isEqualTo(2 - world.rank());
          double[] terms = {1e16, 1, -1e16};
          assertThat(world.allReduce(terms[world.rank()], ReduceOp.SUM))
              .isEqualTo((terms[0] + terms[1]) + terms[2]);
          double[] others = {1, -1e16, 1e16};
          assertThat(reversed.allReduce(others[world.rank()], ReduceOp.SUM))
              .isEqualTo((others[2] + others[1]) + others[0]);
        });
  }

  @Test
  void statistics_ofEachKind_countCallsAndArgumentBytes() {
    run(
        2,
        (world, device) -> {
          int me = world.rank();
          NDArray twelve = NDArray.of(device, DType.F32, Shape.of(12), new double[12]);
          world.allReduce(twelve, ReduceOp.SUM).await();
          CommunicationStatistics before = world.statistics().snapshot();
          List<NDArray> halves = Values.split(twelve, 0, new long[] {4, 8});
          world.allReduce(twelve, ReduceOp.SUM).await();
          world.allReduce(twelve, ReduceOp.MAX).await();
          world.broadcast(twelve, 1).await();
          world.allGather(halves.get(me), halves).await();
          world.reduceScatter(halves, halves.get(me), ReduceOp.SUM).await();
          Communicator pair = world.subgroup("pair", List.of(0, 1)).orElseThrow();
          pair.barrier();
          CommunicationStatistics after = world.statistics().since(before);
          long own = halves.get(me).size() * 4;
          assertThat(after.of(CommunicationKind.ALL_REDUCE))
              .isEqualTo(new CommunicationStatistics.Traffic(2, 96, 96));
          assertThat(after.of(CommunicationKind.BROADCAST))
              .isEqualTo(new CommunicationStatistics.Traffic(1, me * 48L, 48 - me * 48L));
          assertThat(after.of(CommunicationKind.ALL_GATHER))
              .isEqualTo(new CommunicationStatistics.Traffic(1, own, 48));
          assertThat(after.of(CommunicationKind.REDUCE_SCATTER))
              .isEqualTo(new CommunicationStatistics.Traffic(1, 48, own));
          assertThat(after.totalCount()).isEqualTo(5);
          assertThat(pair.statistics().count(CommunicationKind.BARRIER)).isEqualTo(1);
          assertThat(world.totalStatistics().totalCount()).isEqualTo(7);
        });
  }
}
