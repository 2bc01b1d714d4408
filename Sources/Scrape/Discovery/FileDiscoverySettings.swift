// SPDX-License-Identifier: Apache-2.0
// `file_sd_configs`. Source: prometheus/prometheus `discovery/file/file.go`.

import Base

package struct FileDiscoverySettings: Hashable, Sendable {
    /// Paths that end in .json, .yml or .yaml; the last segment may hold one `*`.
    package var files: [String] = []
    /// Everything is read anew that often, whatever was noticed before.
    package var refreshSeconds: Double = 300

    package init() {}

    package func validate() throws(DiscoverySettingsError) {
        if files.isEmpty {
            throw DiscoverySettingsError(
                "file service discovery config must contain at least one path name")
        }
        for name in files where !Self.isUsable(name) {
            throw DiscoverySettingsError(
                "path name \(quotedText(name)) is not valid for file discovery")
        }
        try validateInterval(refreshSeconds)
    }

    private static func isUsable(_ name: String) -> Bool {
        let endings = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"]
        guard let ending = endings.first(where: { name.hasSuffix($0) }) else { return false }
        let stem = name.dropLast(ending.count)
        guard let star = stem.firstIndex(of: "*") else { return true }
        return !stem[star...].contains("/")
    }
}
