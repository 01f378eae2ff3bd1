package dev.heddle.bindings;

import java.util.Locale;

/** The operating system and processor, in the words that native artifacts use. */
record Platform(OperatingSystem system, String architecture) {

  enum OperatingSystem {
    LINUX("linux"),
    MACOS("macosx"),
    WINDOWS("windows"),
    OTHER("other");

    private final String artifactName;

    OperatingSystem(String artifactName) {
      this.artifactName = artifactName;
    }
  }

  static Platform current() {
    return of(System.getProperty("os.name", ""), System.getProperty("os.arch", ""));
  }

  /** From the values of {@code os.name} and {@code os.arch}. */
  static Platform of(String osName, String osArch) {
    String name = osName.toLowerCase(Locale.ROOT);
    OperatingSystem system =
        name.startsWith("linux")
            ? OperatingSystem.LINUX
            : name.startsWith("mac")
                ? OperatingSystem.MACOS
                : name.startsWith("windows") ? OperatingSystem.WINDOWS : OperatingSystem.OTHER;
    String architecture =
        switch (osArch.toLowerCase(Locale.ROOT)) {
          case "amd64", "x86_64", "x64" -> "x86_64";
          case "aarch64", "arm64" -> "arm64";
          default -> osArch;
        };
    return new Platform(system, architecture);
  }

  /** The Maven classifier, for example {@code linux-x86_64}. */
  String classifier() {
    return system.artifactName + "-" + architecture;
  }
}
