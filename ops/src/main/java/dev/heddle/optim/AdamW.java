package dev.heddle.optim;

import dev.heddle.nn.Parameter;
import dev.heddle.runtime.AdamWStep;
import dev.heddle.runtime.AdamWTensor;
import dev.heddle.runtime.DType;
import dev.heddle.runtime.Kernels;
import dev.heddle.runtime.NDArray;
import dev.heddle.runtime.memory.MemoryScope;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * AdamW (Loshchilov and Hutter, ICLR 2019): fused, on a GPU one kernel for all parameters. The
 * moments are kept in the accumulation type of the parameters; narrower parameters (bf16) also get
 * a master copy in it, which is what is updated and then rounded.
 *
 * <p>The state belongs to the memory scope that is open when the optimizer is made.
 */
public final class AdamW {
  /**
   * What stays the same from step to step.
   *
   * @param beta1 decay of the first moment
   * @param beta2 decay of the second moment
   * @param epsilon added to the denominator
   * @param weightDecay decoupled decay of the parameters that decay
   */
  public record Settings(double beta1, double beta2, double epsilon, double weightDecay) {
    /** The usual ones: 0.9, 0.95, 1e-8, and the given decay. */
    public static Settings withDecay(double weightDecay) {
      return new Settings(0.9, 0.95, 1e-8, weightDecay);
    }
  }

  /**
   * The state of one parameter, of the shape of this rank's values; flat where only a stretch of
   * them is updated.
   *
   * @param firstMoment running mean of gradients
   * @param secondMoment running mean of squared gradients
   * @param master the exact weight, or null where the parameter itself is exact
   */
  public record State(NDArray firstMoment, NDArray secondMoment, @Nullable NDArray master) {}

  private final List<ParameterPart> parts;
  private final Map<String, State> states = new LinkedHashMap<>();
  private final Settings settings;
  private long steps;

  /** An optimizer of {@code parameters} that has not stepped yet: moments zero. */
  public AdamW(List<Parameter> parameters, Settings settings) {
    this(settings, parameters.stream().map(ParameterPart::whole).toList());
  }

  /**
   * An optimizer that updates parts of parameters, one of each at most; others update the rest. It
   * has state for what it updates only.
   */
  public static AdamW ofParts(List<ParameterPart> parts, Settings settings) {
    return new AdamW(settings, parts.stream().filter(part -> part.size() > 0).toList());
  }

  private AdamW(Settings settings, List<ParameterPart> parts) {
    this.parts = List.copyOf(parts);
    this.settings = settings;
    for (ParameterPart part : parts) {
      NDArray weight = part.weight();
      DType wide = weight.dtype().accumulation();
      State state =
          new State(
              NDArray.zeros(weight.device(), wide, weight.shape()),
              NDArray.zeros(weight.device(), wide, weight.shape()),
              wide == weight.dtype() ? null : weight.cast(wide));
      if (states.put(part.parameter().name(), state) != null) {
        throw new IllegalArgumentException(
            "AdamW: two parameters are called "
                + part.parameter().name()
                + "; state goes by name, so give each once and under its own name");
      }
    }
  }

  /**
   * Updates every parameter that has a gradient, in place.
   *
   * @param gradientScale what gradients are multiplied by first: 1/N and clipping
   */
  public void step(double learningRate, double gradientScale) {
    steps++;
    AdamWStep numbers = numbers(learningRate, gradientScale, settings.weightDecay());
    try (MemoryScope inside = MemoryScope.open()) {
      tensors().forEach((dtype, some) -> kernels(some).adamW(numbers, some));
    }
  }

  /**
   * Updates every parameter that has a gradient, in place, by numbers that the device holds; how
   * many {@link #steps()} there were is then for whoever reads them to say, by {@link #resumeAt}.
   *
   * @param update see {@link dev.heddle.runtime.StepControl}
   */
  public void step(NDArray update) {
    AdamWStep constants = numbers(0, 1, settings.weightDecay());
    try (MemoryScope inside = MemoryScope.open()) {
      tensors().forEach((dtype, some) -> kernels(some).adamW(constants, some, update));
    }
  }

  private static Kernels kernels(List<AdamWTensor> tensors) {
    return tensors.getFirst().gradient().kernels();
  }

  /** What has a gradient, by the gradient's type, which decides who updates it. */
  private Map<DType, List<AdamWTensor>> tensors() {
    Map<DType, List<AdamWTensor>> byType = new EnumMap<>(DType.class);
    for (ParameterPart part : parts) {
      NDArray gradient = part.gradient();
      if (gradient == null) {
        continue;
      }
      NDArray weight = part.weight();
      State state = state(part.parameter());
      NDArray master = state.master();
      byType
          .computeIfAbsent(gradient.dtype(), dtype -> new ArrayList<>(parts.size()))
          .add(
              new AdamWTensor(
                  master == null ? weight : master,
                  gradient,
                  state.firstMoment(),
                  state.secondMoment(),
                  master == null ? null : weight,
                  part.parameter().decays()));
      weight.block().touch();
    }
    return byType;
  }

  private AdamWStep numbers(double learningRate, double gradientScale, double decay) {
    return new AdamWStep(
        learningRate,
        settings.beta1(),
        settings.beta2(),
        settings.epsilon(),
        decay,
        steps,
        gradientScale);
  }

  /** Forgets all gradients, so that the next backward pass starts from none. */
  public void clearGradients() {
    parts.forEach(part -> part.parameter().tensor().clearGradient());
  }

  /** The state of a parameter, to be read and written by checkpoints. */
  public State state(Parameter parameter) {
    State state = states.get(parameter.name());
    if (state == null) {
      throw new IllegalArgumentException(
          "AdamW: parameter " + parameter.name() + " is not one of its " + states.size());
    }
    return state;
  }

  /** How many steps were taken. */
  public long steps() {
    return steps;
  }

  /** Goes on from step {@code taken}, as a checkpoint says. */
  public void resumeAt(long taken) {
    this.steps = taken;
  }

  /** What is updated of which parameters. */
  public List<ParameterPart> parts() {
    return parts;
  }

  /** The parameters of which something is updated. */
  public List<Parameter> parameters() {
    return parts.stream().map(ParameterPart::parameter).toList();
  }

  /** The bytes of the state. */
  public long stateBytes() {
    long bytes = 0;
    for (State state : states.values()) {
      bytes += bytes(state.firstMoment()) + bytes(state.secondMoment());
      NDArray master = state.master();
      bytes += master == null ? 0 : bytes(master);
    }
    return bytes;
  }

  private static long bytes(NDArray array) {
    return array.size() * array.dtype().byteSize();
  }
}
