// SPDX-License-Identifier: Apache-2.0
// Tests of Scrape.

import Testing
