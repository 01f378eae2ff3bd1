package dev.heddle.nn;

import dev.heddle.runtime.Shape;

/**
 * What a {@link Parameter} is, before it has memory.
 *
 * @param name global dotted name
 * @param globalShape shape of the whole
 * @param shardDim the dim of which only {@code part} is on this rank, or {@link #WHOLE}
 * @param part the interval of that dim; ignored for a whole parameter
 * @param initializer fills it
 * @param weightDecay whether weight decay applies
 */
public record ParameterSpec(
    String name,
    Shape globalShape,
    int shardDim,
    Part part,
    Initializer initializer,
    boolean weightDecay) {
  /** The {@link #shardDim} of a parameter that each rank holds whole. */
  public static final int WHOLE = -1;

  /** Refuses a part that does not belong to the dim. */
  public ParameterSpec {
    if (shardDim != WHOLE && globalShape.dim(shardDim) != part.total()) {
      throw new IllegalArgumentException(
          "ParameterSpec " + name + ": dim " + shardDim + " of " + globalShape + " has "
              + globalShape.dim(shardDim) + " indices, the part is of " + part.total());
    }
  }

  /** A parameter that each rank holds whole. */
  public static ParameterSpec whole(
      String name, Shape shape, Initializer initializer, boolean weightDecay) {
    return new ParameterSpec(name, shape, WHOLE, Part.whole(0), initializer, weightDecay);
  }

  /** A parameter of which this rank holds {@code part} along {@code dim}. */
  public static ParameterSpec sharded(
      String name,
      Shape globalShape,
      int dim,
      Part part,
      Initializer initializer,
      boolean weightDecay) {
    return part.isWhole()
        ? whole(name, globalShape, initializer, weightDecay)
        : new ParameterSpec(name, globalShape, dim, part, initializer, weightDecay);
  }

  /** Whether all of the parameter is on this rank. */
  public boolean isWhole() {
    return shardDim == WHOLE;
  }

  /** The shape of what is on this rank. */
  public Shape localShape() {
    return isWhole() ? globalShape : globalShape.with(shardDim, part.size());
  }
}
