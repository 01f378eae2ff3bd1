package dev.heddle.train.config;

import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * The optimisation.
 *
 * @param steps optimizer steps; the cosine schedule ends here
 * @param globalBatch samples a step over all ranks
 * @param microBatches consecutive parts that the samples of a step are cut into
 * @param learningRate the highest learning rate
 * @param warmupSteps steps of linear warm-up; may be more than {@code steps}
 * @param weightDecay decoupled weight decay
 * @param clipNorm largest global gradient norm; infinity does not clip
 * @param lossScale what the loss is multiplied by before the backward, so that small gradients do
 *     not vanish; 0 adapts it from step to step
 * @param components what differs for a component, by its name
 */
public record TrainConfig(
    int steps,
    int globalBatch,
    int microBatches,
    double learningRate,
    int warmupSteps,
    double weightDecay,
    double clipNorm,
    double lossScale,
    Map<String, ComponentTraining> components) {

  /** Takes a copy. */
  public TrainConfig {
    components = Map.copyOf(components);
  }

  /** The same training for every component, no loss scale. */
  public TrainConfig(
      int steps,
      int globalBatch,
      int microBatches,
      double learningRate,
      int warmupSteps,
      double weightDecay,
      double clipNorm) {
    this(
        steps,
        globalBatch,
        microBatches,
        learningRate,
        warmupSteps,
        weightDecay,
        clipNorm,
        1,
        Map.of());
  }

  /**
   * How one component is trained.
   *
   * @param learningRate its highest learning rate; null is that of all
   * @param frozen whether it stays as it is: no gradients are computed for it or sent to it
   */
  public record ComponentTraining(@Nullable Double learningRate, boolean frozen) {
    /** Like all others. */
    public static final ComponentTraining USUAL = new ComponentTraining(null, false);
  }

  /** How the component called {@code name} is trained. */
  public ComponentTraining component(String name) {
    return components.getOrDefault(name, ComponentTraining.USUAL);
  }

  /** The highest learning rate of the component called {@code name}. */
  public double learningRate(String name) {
    Double own = component(name).learningRate();
    return own == null ? learningRate : own;
  }

  /** The names of the components that stay as they are. */
  public Set<String> frozen() {
    return components.entrySet().stream()
        .filter(component -> component.getValue().frozen())
        .map(Map.Entry::getKey)
        .collect(Collectors.toUnmodifiableSet());
  }

  /** The components that differ, in the order of their names. */
  Map<String, ComponentTraining> sortedComponents() {
    return new TreeMap<>(components);
  }

  /** The same with another length. */
  public TrainConfig withSteps(int length) {
    return new TrainConfig(
        length,
        globalBatch,
        microBatches,
        learningRate,
        warmupSteps,
        weightDecay,
        clipNorm,
        lossScale,
        components);
  }
}
