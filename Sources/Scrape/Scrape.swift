// SPDX-License-Identifier: Apache-2.0
// Front door of Scrape.

/// Targets, scrape loops, relabelling and staleness.
package enum Scrape {}
