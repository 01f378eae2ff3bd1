package dev.heddle.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.UnaryOperator;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

class NDArrayViewsTest {
  private static final long SEED = Long.getLong("heddle.seed", 20260727);

  private CpuDevice device;
  private MemoryScope scope;

  @BeforeEach
  void open() {
    device = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE);
    scope = MemoryScope.open();
  }

  @AfterEach
  void close() {
    scope.close();
    device.close();
  }

  private NDArray counting(long... dims) {
    Shape shape = Shape.of(dims);
    double[] values = new double[(int) shape.size()];
    Arrays.setAll(values, i -> i);
    return NDArray.of(device, DType.F32, shape, values);
  }

  /** What an array should be: its sizes and values, nothing about memory. */
  private record Model(long[] dims, double[] values) {
    double at(long[] index) {
      int position = 0;
      for (int i = 0; i < dims.length; i++) {
        position = (int) (position * dims[i] + index[i]);
      }
      return values[position];
    }

    /** The array of the given sizes whose element at an index is that at {@code from(index)}. */
    static Model of(long[] dims, Model source, UnaryOperator<long[]> from) {
      double[] values = new double[(int) Shape.of(dims).size()];
      long[] index = new long[dims.length];
      for (int i = 0; i < values.length; i++) {
        values[i] = source.at(from.apply(index));
        for (int d = dims.length - 1; d >= 0 && ++index[d] == dims[d]; d--) {
          index[d] = 0;
        }
      }
      return new Model(dims, values);
    }
  }

  /** Random chains of views, each step checked against index arithmetic on plain arrays. */
  @Test
  void views_randomChains_agreeWithTheModel() {
    RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(SEED);
    int copies = 0;
    int reshapes = 0;
    for (int trial = 0; trial < 400; trial++) {
      try (MemoryScope inner = MemoryScope.open()) {
        long[] dims = new long[1 + random.nextInt(4)];
        Arrays.setAll(dims, i -> 1 + random.nextInt(4));
        NDArray array = counting(dims);
        Model model = new Model(dims, array.toDoubles());
        StringBuilder history = new StringBuilder(array.toString());
        for (int step = 0; step < 6; step++) {
          int rank = array.rank();
          long[] sizes = array.shape().toArray();
          Model before = model;
          switch (random.nextInt(5)) {
            case 0 -> {
              int a = random.nextInt(rank);
              int b = random.nextInt(rank);
              array = array.transpose(a, b - rank);
              long[] swapped = swap(sizes, a, b);
              model = Model.of(swapped, before, index -> swap(index, a, b));
              history.append(" transpose ").append(a).append(' ').append(b);
            }
            case 1 -> {
              int[] order = shuffled(rank, random);
              array = array.permute(order);
              long[] permuted = new long[rank];
              Arrays.setAll(permuted, i -> sizes[order[i]]);
              model =
                  Model.of(
                      permuted,
                      before,
                      index -> {
                        long[] from = new long[rank];
                        for (int i = 0; i < rank; i++) {
                          from[order[i]] = index[i];
                        }
                        return from;
                      });
              history.append(" permute ").append(Arrays.toString(order));
            }
            case 2 -> {
              int dim = random.nextInt(rank);
              long start = random.nextLong(sizes[dim]);
              long end = start + 1 + random.nextLong(sizes[dim] - start);
              array = array.slice(dim, start, end);
              long[] cut = sizes.clone();
              cut[dim] = end - start;
              model =
                  Model.of(
                      cut,
                      before,
                      index -> {
                        long[] from = index.clone();
                        from[dim] += start;
                        return from;
                      });
              history.append(" slice ").append(dim).append(' ').append(start).append(' ');
              history.append(end);
            }
            case 3 -> {
              long[] stretched = sizes.clone();
              for (int i = 0; i < rank; i++) {
                if (stretched[i] == 1 && random.nextBoolean()) {
                  stretched[i] = 1 + random.nextInt(3);
                }
              }
              if (rank < 4 && random.nextBoolean()) {
                stretched = prepend(2, stretched);
              }
              array = array.expand(Shape.of(stretched));
              model =
                  Model.of(
                      stretched,
                      before,
                      index -> {
                        long[] from = new long[rank];
                        for (int i = 0; i < rank; i++) {
                          from[i] = sizes[i] == 1 ? 0 : index[index.length - rank + i];
                        }
                        return from;
                      });
              history.append(" expand ").append(Arrays.toString(stretched));
            }
            default -> {
              long[] target = factors(array.size(), random);
              NDArray reshaped = array.reshape(target);
              boolean view = reshaped.block() == array.block();
              boolean possible = viewExists(array, target);
              assertThat(view)
                  .as(
                      "%s reshape %s is a view if one exists (-Dheddle.seed=%d)",
                      history, Arrays.toString(target), SEED)
                  .isEqualTo(possible);
              copies += view ? 0 : 1;
              reshapes++;
              array = reshaped;
              model = new Model(target, before.values());
              history.append(" reshape ").append(Arrays.toString(target));
            }
          }
          assertThat(array.shape().toArray()).as("%s", history).isEqualTo(model.dims());
          assertThat(array.toDoubles())
              .as("%s (-Dheddle.seed=%d)", history, SEED)
              .isEqualTo(model.values());
          assertThat(array.contiguous().isContiguous()).as("%s", history).isTrue();
          assertThat(array.isContiguous())
              .as("%s is contiguous if its memory is its values in order", history)
              .isEqualTo(isPacked(array));
        }
      }
    }
    // Both outcomes of a reshape were seen often, else the law above says little.
    assertThat(copies).isGreaterThan(20);
    assertThat(reshapes - copies).isGreaterThan(100);
  }

  private static boolean isPacked(NDArray array) {
    long[] positions = positions(array);
    for (int i = 0; i < positions.length; i++) {
      if (positions[i] != array.offset() + i) {
        return false;
      }
    }
    return true;
  }

  /** The memory position of each element in row-major order. */
  private static long[] positions(NDArray array) {
    long[] positions = new long[(int) array.size()];
    long[] index = new long[array.rank()];
    for (int i = 0; i < positions.length; i++) {
      positions[i] = array.offset();
      for (int d = 0; d < index.length; d++) {
        positions[i] += index[d] * array.stride(d);
      }
      for (int d = index.length - 1; d >= 0 && ++index[d] == array.dim(d); d--) {
        index[d] = 0;
      }
    }
    return positions;
  }

  /** Whether strides exist that give the positions of {@code array} under another shape. */
  private static boolean viewExists(NDArray array, long[] target) {
    long[] positions = positions(array);
    long[] steps = Shape.of(target).contiguousStrides();
    long[] strides = new long[target.length];
    for (int d = 0; d < target.length; d++) {
      strides[d] = target[d] == 1 ? 0 : positions[(int) steps[d]] - positions[0];
    }
    for (int i = 0; i < positions.length; i++) {
      long position = positions[0];
      for (int d = 0; d < target.length; d++) {
        position += i / steps[d] % target[d] * strides[d];
      }
      if (position != positions[i]) {
        return false;
      }
    }
    return true;
  }

  private static long[] swap(long[] values, int a, int b) {
    long[] swapped = values.clone();
    swapped[a] = values[b];
    swapped[b] = values[a];
    return swapped;
  }

  private static long[] prepend(long first, long[] rest) {
    long[] result = new long[rest.length + 1];
    result[0] = first;
    System.arraycopy(rest, 0, result, 1, rest.length);
    return result;
  }

  private static int[] shuffled(int count, RandomGenerator random) {
    int[] order = new int[count];
    Arrays.setAll(order, i -> i);
    for (int i = count - 1; i > 0; i--) {
      int j = random.nextInt(i + 1);
      int swap = order[i];
      order[i] = order[j];
      order[j] = swap;
    }
    return order;
  }

  /** Random sizes whose product is {@code size}, ones included. */
  private static long[] factors(long size, RandomGenerator random) {
    List<Long> result = new ArrayList<>();
    long rest = size;
    while (rest > 1) {
      long factor = 1 + random.nextLong(rest);
      if (rest % factor == 0) {
        result.add(factor);
        rest /= factor;
      }
    }
    if (result.isEmpty() || random.nextInt(3) == 0) {
      result.add(random.nextInt(result.size() + 1), 1L);
    }
    return result.stream().mapToLong(Long::longValue).toArray();
  }

  @Test
  void views_writtenThrough_changeTheOriginal() {
    NDArray x = counting(2, 3);
    x.transpose(0, 1).slice(0, 1, 2).kernels().fill(x.transpose(0, 1).slice(0, 1, 2), 9);
    assertThat(x.toDoubles()).containsExactly(0, 9, 2, 3, 9, 5);
    assertThat(x.slice(0, 1, 2).byteOffset()).isEqualTo(12);
    assertThat(x.slice(0, 1, 2).address()).isEqualTo(x.address() + 12);
  }

  @Test
  void copy_ofAView_isIndependent() {
    NDArray x = counting(2, 3);
    NDArray copy = x.transpose(0, 1).copy();
    x.kernels().fill(x, -1);
    assertThat(copy.toDoubles()).containsExactly(0, 3, 1, 4, 2, 5);
    assertThat(x.contiguous()).isSameAs(x);
    assertThat(x.cast(DType.F32)).isSameAs(x);
  }

  @Test
  void reshape_inferredSize_isTheRest() {
    NDArray x = counting(2, 3, 4);
    assertThat(x.reshape(-1).shape()).isEqualTo(Shape.of(24));
    assertThat(x.reshape(4, -1, 2).shape()).isEqualTo(Shape.of(4, 3, 2));
    assertThat(x.slice(0, 0, 1).slice(1, 0, 1).slice(2, 0, 1).reshape().item()).isZero();
    assertThat(NDArray.empty(device, DType.F32, 0, 3).transpose(0, 1).reshape(0, 7, 2).shape())
        .isEqualTo(Shape.of(0, 7, 2));
  }

  @Test
  void views_ofWhatDoesNotExist_areRefusedByName() {
    NDArray x = counting(2, 3);
    assertThatThrownBy(() -> x.reshape(4, 2))
        .hasMessage("NDArray.reshape: [2,3] has 6 elements, [4,2] has 8");
    assertThatThrownBy(() -> x.reshape(-1, 4))
        .hasMessage("NDArray.reshape: [2,3] does not fit [-1, 4]");
    assertThatThrownBy(() -> x.reshape(-1, -1))
        .hasMessage("NDArray.reshape: only one size may be -1, got [-1, -1]");
    assertThatThrownBy(() -> x.slice(1, 2, 4))
        .hasMessage("NDArray.slice: [2,4) is not within dim 1 of size 3 of shape [2,3]");
    assertThatThrownBy(() -> x.slice(1, 2, 1)).isInstanceOf(IllegalArgumentException.class);
    assertThatThrownBy(() -> x.permute(0))
        .hasMessage("NDArray.permute: shape [2,3] has 2 dims, got the order [0]");
    assertThatThrownBy(() -> x.permute(0, -2))
        .hasMessage("NDArray.permute: dim 0 is named twice in [0, -2]");
    assertThatThrownBy(() -> x.transpose(0, 2))
        .hasMessage("dim 2 does not exist in shape [2,3] of rank 2");
    for (long[] target : new long[][] {{3}, {2, 4}, {1, 3}, {2, 1}}) {
      assertThatThrownBy(() -> x.expand(Shape.of(target)))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessage(
              "NDArray.expand: [2,3] does not stretch to "
                  + Shape.of(target)
                  + ": aligned at the innermost dim, its sizes must be those of the target or 1");
    }
  }
}
