/** The application: configuration, data, models, trainer, checkpoints, the heddle command. */
@org.jspecify.annotations.NullMarked
module dev.heddle.train {
  requires transitive dev.heddle.parallel;
  requires static org.jspecify;
  requires java.desktop;
  requires info.picocli;
  requires org.snakeyaml.engine.v2;
  requires tools.jackson.core;
  requires org.knowm.xchart;

  exports dev.heddle.train.checkpoint;
  exports dev.heddle.train.config;
  exports dev.heddle.train.dataset;
  exports dev.heddle.train.model;
  exports dev.heddle.train.run;
}
