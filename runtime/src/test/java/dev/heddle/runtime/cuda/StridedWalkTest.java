package dev.heddle.runtime.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import dev.heddle.runtime.DType;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.Shape;
import dev.heddle.runtime.cpu.CpuDevice;
import dev.heddle.runtime.cpu.CpuBackend;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class StridedWalkTest {
  private static List<Long> places(StridedWalk walk, int operand) {
    List<Long> places = new ArrayList<>();
    while (walk.next()) {
      long[] sizes = walk.sizes();
      for (int i = 0; i < walk.count(); i++) {
        long rest = i;
        long place = walk.offset(operand);
        for (int dim = StridedWalk.DIMS - 1; dim >= 0; dim--) {
          place += rest % sizes[dim] * walk.strides(operand)[dim];
          rest /= sizes[dim];
        }
        places.add(place);
      }
    }
    return places;
  }

  private static List<Long> rowMajor(long[] dims, long[] strides) {
    List<Long> places = new ArrayList<>(List.of(0L));
    for (int dim = 0; dim < dims.length; dim++) {
      List<Long> next = new ArrayList<>();
      for (long place : places) {
        for (long i = 0; i < dims[dim]; i++) {
          next.add(place + i * strides[dim]);
        }
      }
      places = next;
    }
    return places;
  }

  @Test
  void anyStrides_anyPieceSize_visitsEveryPlaceInOrder() {
    long[][][] problems = {
      {{}, {}},
      {{1}, {7}},
      {{5}, {1}},
      {{3, 4}, {4, 1}},
      {{3, 4}, {1, 3}},
      {{2, 1, 3, 1}, {30, 5, 9, 2}},
      {{2, 3, 2, 3, 2, 3, 2, 2}, {1, 2, 6, 12, 36, 72, 216, 432}},
      {{2, 3, 4}, {0, 100, 7}},
      {{0, 3}, {3, 1}}
    };
    for (long[][] problem : problems) {
      for (long most : new long[] {1, 2, 5, 7, 24, 1000}) {
        StridedWalk walk = new StridedWalk(most);
        walk.start(Shape.of(problem[0]));
        int operand = walk.add(problem[1]);
        walk.cut();
        assertThat(places(walk, operand)).isEqualTo(rowMajor(problem[0], problem[1]));
      }
    }
  }

  @Test
  void dimsWithoutGaps_areOneRun() {
    try (CpuDevice device = CpuDevice.open("cpu", 1, CpuBackend.REFERENCE);
        MemoryScope scope = MemoryScope.open()) {
      NDArray x = NDArray.empty(device, DType.F32, 2, 3, 4);
      StridedWalk walk = new StridedWalk();
      walk.start(x.shape());
      int packed = walk.add(x);
      int column = walk.add(NDArray.empty(device, DType.F32, 4));
      walk.cut();
      assertThat(walk.rank()).isEqualTo(2);
      assertThat(walk.isRun(packed)).isFalse();
      assertThat(walk.stride(column, 0)).isZero();
      walk.start(x.shape());
      packed = walk.add(x);
      walk.cut();
      assertThat(walk.rank()).isEqualTo(1);
      assertThat(walk.isRun(packed)).isTrue();
      walk.start(x.shape());
      int padded = walk.add(NDArray.empty(device, DType.F32, 2, 3, 6).slice(2, 0, 4));
      walk.cut();
      assertThat(walk.rank()).isEqualTo(2);
      assertThat(walk.isRun(padded)).isFalse();
    }
  }
}
