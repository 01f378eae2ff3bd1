/** The application: configuration, data, models, trainer, checkpoints, the heddle command. */
@org.jspecify.annotations.NullMarked
module dev.heddle.train {
  requires transitive dev.heddle.parallel;
  requires info.picocli;
  requires java.desktop;
  requires org.snakeyaml.engine.v2;
  requires tools.jackson.core;
  requires static org.jspecify;

  exports dev.heddle.train.checkpoint;
  exports dev.heddle.train.cli;
  exports dev.heddle.train.config;
  exports dev.heddle.train.dataset;
  exports dev.heddle.train.model;
  exports dev.heddle.train.report;
  exports dev.heddle.train.run;

  opens dev.heddle.train.cli to
      info.picocli;

  uses dev.heddle.train.cli.Application;

  provides dev.heddle.train.cli.Application with
      dev.heddle.train.run.TrainingApplication;
}
