package dev.heddle.nn;

import dev.heddle.autograd.Tensor;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Device;
import dev.heddle.runtime.GlobalIndex;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.RandomKey;
import dev.heddle.runtime.Shape;
import org.jspecify.annotations.Nullable;

/**
 * A trained tensor of a model, or this rank's interval of one along one dim. Its name and global
 * shape are the same under every layout; checkpoints, optimizer state and random streams go by
 * them.
 */
public final class Parameter {
  private final ParameterSpec spec;
  private final Tensor tensor;

  private Parameter(ParameterSpec spec, Tensor tensor) {
    this.spec = spec;
    this.tensor = tensor;
  }

  /**
   * A new parameter, filled by its initializer. Its memory, and that of its gradients, belongs to
   * the {@code MemoryScope} that is open now.
   */
  public static Parameter create(ParameterSpec spec, Device device, DType dtype, long seed) {
    NDArray values = NDArray.empty(device, dtype, spec.localShape());
    GlobalIndex index =
        spec.isWhole()
            ? GlobalIndex.whole(spec.globalShape())
            : GlobalIndex.shard(spec.globalShape(), spec.shardDim(), spec.part().start());
    spec.initializer().fill(values, RandomKey.of(seed, spec.name()), index);
    return new Parameter(spec, Tensor.leaf(values));
  }

  /** The global dotted name, such as {@code language.block0.attention.qkv.weight}. */
  public String name() {
    return spec.name();
  }

  /** The leaf that model code uses. */
  public Tensor tensor() {
    return tensor;
  }

  /** The values that are here. */
  public NDArray value() {
    return tensor.value();
  }

  /** The gradient of what is here, or null before the first backward. */
  public @Nullable NDArray gradient() {
    return tensor.gradient();
  }

  /** Forgets the gradient and gives its memory back. */
  public void clearGradient() {
    tensor.clearGradient();
  }

  /** The shape of the whole parameter. */
  public Shape globalShape() {
    return spec.globalShape();
  }

  /** Whether all of the parameter is here. */
  public boolean isWhole() {
    return spec.isWhole();
  }

  /** The dim that is split over ranks, or {@link ParameterSpec#WHOLE}. */
  public int shardDim() {
    return spec.shardDim();
  }

  /** The first index along {@link #shardDim()} that is here; 0 if the parameter is whole. */
  public long shardStart() {
    return spec.isWhole() ? 0 : spec.part().start();
  }

  /** Whether weight decay applies: to matrices and embeddings, not to biases and norms. */
  public boolean weightDecay() {
    return spec.weightDecay();
  }

  /** What this parameter was made from. */
  public ParameterSpec spec() {
    return spec;
  }

  @Override
  public String toString() {
    return name() + " " + value().dtype() + globalShape()
        + (isWhole()
            ? ""
            : " [" + spec.part().start() + "," + spec.part().end() + ") of dim " + shardDim());
  }
}
