package dev.heddle.test.architecture;

import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideOutsideOfPackages;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * The arrows between modules that docs/architecture.md draws, held against the class files. A rule
 * that finds no class to check fails, so none of them can pass by looking at nothing.
 */
class ModuleArrowsTest {

  /** The modules from the lowest to the highest: each may use itself and those before it. */
  enum Module {
    BINDINGS("dev.heddle.bindings.."),
    RUNTIME("dev.heddle.runtime.."),
    AUTOGRAD("dev.heddle.autograd.."),
    OPS("dev.heddle.ops..", "dev.heddle.nn..", "dev.heddle.optim.."),
    PARALLEL("dev.heddle.parallel.."),
    TRAIN("dev.heddle.train..");

    private final String[] packages;

    Module(String... packages) {
      this.packages = packages;
    }

    private String[] andLower() {
      return Arrays.stream(values())
          .filter(module -> module.compareTo(this) <= 0)
          .flatMap(module -> Arrays.stream(module.packages))
          .toArray(String[]::new);
    }
  }

  private static final String[] GENERATED_BINDINGS = {
    "dev.heddle.bindings.cuda..",
    "dev.heddle.bindings.cublas..",
    "dev.heddle.bindings.nccl..",
    "dev.heddle.bindings.onednn..",
    "dev.heddle.bindings.mpi.."
  };
  private static final String[] PLATFORM = {"java..", "javax..", "jdk..", "org.jspecify.."};

  private static JavaClasses production;

  @BeforeAll
  static void readTheClassFilesOfAllModules() {
    production =
        new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            // Tests of other modules come as jars, whose names say so, once these are packed.
            .withImportOption(location -> !location.contains("-tests.jar"))
            .importPackages("dev.heddle");
  }

  @ParameterizedTest
  @EnumSource(Module.class)
  void module_usesNoHigherModule(Module module) {
    String[] allowed = module.andLower();
    noClasses()
        .that()
        .resideInAnyPackage(module.packages)
        .should()
        .dependOnClassesThat(resideInAPackage("dev.heddle..").and(resideOutsideOfPackages(allowed)))
        .because("arrows point from bindings to train and never back")
        .check(production);
  }

  @ParameterizedTest
  @EnumSource(value = Module.class, mode = EnumSource.Mode.EXCLUDE, names = "TRAIN")
  void coreModule_usesOnlyTheJdkAndJSpecify(Module module) {
    List<String> allowed = new ArrayList<>(List.of(PLATFORM));
    allowed.addAll(List.of(module.andLower()));
    classes()
        .that()
        .resideInAnyPackage(module.packages)
        .should()
        .onlyDependOnClassesThat()
        .resideInAnyPackage(allowed.toArray(String[]::new))
        .because("whoever embeds the library should not get other people's jars with it")
        .check(production);
  }

  @Test
  void generatedBindings_areUsedOnlyByTheRuntimeAndByCommunicators() {
    noClasses()
        .that()
        .resideOutsideOfPackages(
            "dev.heddle.bindings..",
            "dev.heddle.runtime..",
            "dev.heddle.parallel.comm..",
            // The test doubles below the bindings, which no user gets.
            "dev.heddle.simulated..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage(GENERATED_BINDINGS)
        .check(production);
  }

  @Test
  void parallel_knowsNoFilesImagesOrText() {
    noClasses()
        .that()
        .resideInAnyPackage(Module.PARALLEL.packages)
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("java.nio.file..", "java.awt..", "javax.imageio..", "org.snakeyaml..")
        .check(production);
  }

  @Test
  void packages_haveNoCycles() {
    slices().matching("dev.heddle.(**)").should().beFreeOfCycles().check(production);
  }
}
