// The peer, through its own API: its migrations, then the five entity types one after the other, parents first, as its `all` does.
// `autoExpandLists` makes it read nested lists to their end, as we do; without, it would keep the first ten lines of an invoice only.
const { StripeSync, runMigrations } = require('@supabase/stripe-sync-engine')
const Stripe = require('stripe')

const [address, version] = process.argv.slice(2)
const key = 'sk_test_bench'
const errors = { info() {}, error(error, message) { console.error(message, error) } }

async function main() {
  // Where PostgreSQL is, node-postgres reads from PGHOST and its like.
  await runMigrations({ schema: 'stripe', logger: errors })
  const sync = new StripeSync({
    poolConfig: { max: 10 },
    stripeSecretKey: key,
    stripeWebhookSecret: 'whsec_bench',
    stripeApiVersion: version,
    autoExpandLists: true,
    backfillRelatedEntities: false,
  })
  const { hostname, port } = new URL(address)
  sync.stripe = new Stripe(key, { apiVersion: version, host: hostname, port, protocol: 'http' })
  const began = performance.now()
  let objects = 0
  for (const object of ['product', 'price', 'customer', 'subscription', 'invoice']) {
    const done = await sync.syncBackfill({ object })
    objects += Object.values(done).reduce((sum, one) => sum + (one ? one.synced : 0), 0)
  }
  const seconds = (performance.now() - began) / 1000
  await sync.close()
  console.log(JSON.stringify({ objects, seconds }))
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
