package dev.heddle.parallel.redistribute;

import static dev.heddle.parallel.redistribute.PartialToShard.partialToShard;
import static dev.heddle.parallel.redistribute.ShardToReplicate.shardToReplicate;
import static dev.heddle.parallel.redistribute.ShardToShard.shardToShard;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import dev.heddle.autograd.Tensor;
import dev.heddle.parallel.comm.Communicator;
import dev.heddle.parallel.comm.RankFailedException;
import dev.heddle.parallel.comm.RankProgram;
import dev.heddle.parallel.comm.local.LocalWorld;
import dev.heddle.parallel.layout.Interval;
import dev.heddle.parallel.layout.Intervals;
import dev.heddle.parallel.layout.Split;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.function.BiConsumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** All-gather, reduce-scatter and all-to-all as operators: what they give and their transposes. */
class ShardOperatorsTest {
  private static void onRanks(int ranks, BiConsumer<CpuDevice, Communicator> body) {
    LocalWorld.run(
        ranks,
        RankProgram.onDevice(
            world -> CpuDevice.open("cpu:" + world.rank(), 1, CpuBackend.REFERENCE),
            (world, device) -> {
              body.accept(device, world);
            }));
  }

  private static NDArray random(CpuDevice device, Shape shape, long seed) {
    return NDArray.of(
        device, DType.F64, shape, new Random(seed).doubles(shape.size(), -1, 1).toArray());
  }

  @ParameterizedTest
  @CsvSource({"1,5", "2,5", "3,7", "4,2", "3,0"})
  void shardToReplicate_gathers_andItsGradientIsTheSumOfAllRanks(int ranks, int size) {
    onRanks(
        ranks,
        (device, world) -> {
          NDArray whole = random(device, Shape.of(2, size, 3), 1);
          Interval mine = Split.part(size, ranks, world.rank());
          Tensor x = Tensor.leaf(whole.slice(1, mine.start(), mine.end()).copy());
          Tensor y = shardToReplicate(x, 1, size, world);
          assertThat(y.value().toDoubles()).containsExactly(whole.toDoubles());
          NDArray sum = NDArray.zeros(device, DType.F64, whole.shape());
          for (int rank = 0; rank < ranks; rank++) {
            sum.kernels().addScaled(random(device, whole.shape(), 10 + rank), 1, sum);
          }
          y.backward(random(device, whole.shape(), 10 + world.rank()));
          assertThat(x.gradientOrZeros().toDoubles())
              .containsExactly(sum.slice(1, mine.start(), mine.end()).toDoubles(), within(1e-15));
        });
  }

  @ParameterizedTest
  @CsvSource({"1,5", "2,5", "3,7", "4,2", "3,0"})
  void partialToShard_sums_andItsGradientIsGathered(int ranks, int size) {
    onRanks(
        ranks,
        (device, world) -> {
          Shape shape = Shape.of(2, size, 3);
          Interval mine = Split.part(size, ranks, world.rank());
          Tensor x = Tensor.leaf(random(device, shape, 10 + world.rank()));
          NDArray sum = NDArray.zeros(device, DType.F64, shape);
          for (int rank = 0; rank < ranks; rank++) {
            sum.kernels().addScaled(random(device, shape, 10 + rank), 1, sum);
          }
          Tensor y = partialToShard(x, 1, world);
          assertThat(y.value().toDoubles())
              .containsExactly(sum.slice(1, mine.start(), mine.end()).toDoubles(), within(1e-15));
          NDArray dy = random(device, shape, 5);
          y.backward(dy.slice(1, mine.start(), mine.end()));
          assertThat(x.gradientOrZeros().toDoubles()).containsExactly(dy.toDoubles());
        });
  }

  @ParameterizedTest
  @CsvSource({"2,5,3", "3,11,4", "4,3,9", "3,0,3"})
  void shardToShard_tradesOneDimForAnother_andItsGradientTradesBack(
      int ranks, int rows, int columns) {
    List<Intervals> zigzag = new ArrayList<>();
    List<Intervals> split = new ArrayList<>();
    for (int rank = 0; rank < ranks; rank++) {
      zigzag.add(Split.zigzag(rows, ranks, rank));
      split.add(Intervals.of(Split.part(columns, ranks, rank)));
    }
    ShardToShard.Parts byRow = new ShardToShard.Parts(1, zigzag);
    ShardToShard.Parts byColumn = new ShardToShard.Parts(2, split);
    onRanks(
        ranks,
        (device, world) -> {
          NDArray whole = random(device, Shape.of(2, rows, columns), 1);
          NDArray gradient = random(device, Shape.of(2, rows, columns), 2);
          Tensor x = Tensor.leaf(part(whole, 1, zigzag.get(world.rank())));
          Tensor y = shardToShard(x, byRow, byColumn, world);
          assertThat(y.value().toDoubles())
              .containsExactly(part(whole, 2, split.get(world.rank())).toDoubles());
          y.backward(part(gradient, 2, split.get(world.rank())));
          assertThat(x.gradientOrZeros().toDoubles())
              .containsExactly(part(gradient, 1, zigzag.get(world.rank())).toDoubles());
        });
  }

  private static NDArray part(NDArray whole, int dim, Intervals indices) {
    NDArray part =
        NDArray.empty(whole.device(), whole.dtype(), whole.shape().with(dim, indices.size()));
    long place = 0;
    for (int i = 0; i < indices.count(); i++) {
      long size = indices.end(i) - indices.start(i);
      NDArray from = whole.slice(dim, indices.start(i), indices.end(i));
      part.kernels().copy(from, part.slice(dim, place, place + size));
      place += size;
    }
    return part;
  }

  @Test
  void partOfAnotherSize_isRefused() {
    assertThatThrownBy(
            () ->
                onRanks(
                    2,
                    (device, world) -> {
                      shardToReplicate(
                          Tensor.leaf(random(device, Shape.of(1, 4, 2), 1)), 1, 7, world);
                    }))
        .isInstanceOf(RankFailedException.class)
        .hasMessageContaining("has 4 of 7 indices of dim 1 of [1,4,2]; wanted its part [4,7)");
  }
}
