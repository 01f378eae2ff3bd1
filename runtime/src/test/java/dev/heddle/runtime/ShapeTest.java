package dev.heddle.runtime;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class ShapeTest {
  @Test
  void of_sizes_areCountedAndCopied() {
    long[] dims = {2, 3, 4};
    Shape shape = Shape.of(dims);
    dims[0] = 9;
    shape.toArray()[1] = 9;
    assertThat(shape.rank()).isEqualTo(3);
    assertThat(shape.size()).isEqualTo(24);
    assertThat(shape.rows()).isEqualTo(6);
    assertThat(shape.toArray()).containsExactly(2, 3, 4);
    assertThat(shape.contiguousStrides()).containsExactly(12, 4, 1);
    assertThat(shape).hasToString("[2,3,4]");
  }

  @Test
  void of_nothing_isTheScalar() {
    assertThat(Shape.of().rank()).isZero();
    assertThat(Shape.of().size()).isEqualTo(1);
    assertThat(Shape.of().rows()).isEqualTo(1);
    assertThat(Shape.of()).hasToString("[]");
  }

  @Test
  void of_zeroSize_isAllowed() {
    assertThat(Shape.of(3, 0, 2).size()).isZero();
    assertThat(Shape.of(3, 0).rows()).isEqualTo(3);
  }

  @Test
  void of_negativeSize_isRefused() {
    assertThatThrownBy(() -> Shape.of(2, -1))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("Shape: dim sizes must not be negative, got [2, -1]");
  }

  @Test
  void of_moreElementsThanLongHolds_isRefused() {
    assertThatThrownBy(() -> Shape.of(1L << 40, 1L << 40)).isInstanceOf(ArithmeticException.class);
  }

  @Test
  void dim_negativeIndex_countsFromTheInnermost() {
    Shape shape = Shape.of(2, 3, 4);
    assertThat(shape.dim(-1)).isEqualTo(4);
    assertThat(shape.dim(-3)).isEqualTo(2);
    assertThat(shape.normalize(-2)).isEqualTo(1);
    assertThatThrownBy(() -> shape.dim(3))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage("dim 3 does not exist in shape [2,3,4] of rank 3");
    assertThatThrownBy(() -> shape.dim(-4))
        .hasMessage("dim -4 does not exist in shape [2,3,4] of rank 3");
  }

  @Test
  void with_oneDimReplaced_leavesTheOriginal() {
    Shape shape = Shape.of(2, 3);
    assertThat(shape.with(-1, 7)).isEqualTo(Shape.of(2, 7));
    assertThat(shape).isEqualTo(Shape.of(2, 3));
  }

  @Test
  void equals_sameSizes_isByValue() {
    assertThat(Shape.of(2, 3)).isEqualTo(Shape.of(2, 3)).hasSameHashCodeAs(Shape.of(2, 3));
    assertThat(Shape.of(2, 3)).isNotEqualTo(Shape.of(3, 2)).isNotEqualTo(Shape.of(2, 3, 1));
  }

  @Test
  void broadcast_numpyPairs_giveNumpyShapes() {
    assertThat(Shape.broadcast(Shape.of(3, 1), Shape.of(4))).isEqualTo(Shape.of(3, 4));
    assertThat(Shape.broadcast(Shape.of(), Shape.of(2, 3))).isEqualTo(Shape.of(2, 3));
    assertThat(Shape.broadcast(Shape.of(5, 1, 3), Shape.of(2, 1))).isEqualTo(Shape.of(5, 2, 3));
    assertThat(Shape.broadcast(Shape.of(1), Shape.of(0))).isEqualTo(Shape.of(0));
    assertThat(Shape.broadcast(Shape.of(2, 3), Shape.of(2, 3))).isEqualTo(Shape.of(2, 3));
  }

  @Test
  void broadcast_unequalSizes_areRefusedByName() {
    assertThatThrownBy(() -> Shape.broadcast(Shape.of(2, 3), Shape.of(2, 4, 2)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "shapes [2,3] and [2,4,2] do not broadcast: dim -1 is 3 and 2; sizes must be equal or"
                + " 1");
  }
}
