package dispatch

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/port/store"
)

// Rates that were set through the API stand among the server's settings, one by one, so that two of them can be set at the same
// time. The operations that do it are in package ops.

func provisionSetting(region string, q api.Quota) string {
	return "provisioned-limit|" + region + "|" + string(q)
}

// Provisioned is the rate that was set for a category in a region; false when none was.
func Provisioned(s store.SettingReader, region string, q api.Quota) (n int, set bool, err error) {
	text, err := s.Get(provisionSetting(region, q))
	if errors.Is(err, store.ErrNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	if n, err = strconv.Atoi(string(text)); err != nil {
		return 0, false, fmt.Errorf("read the provisioned limit of %s: %w", q, err)
	}
	return n, true, nil
}

// Provision sets the rate of a category in a region.
func Provision(s store.Settings, region string, q api.Quota, n int) error {
	return s.Put(provisionSetting(region, q), strconv.AppendInt(nil, int64(n), 10))
}

// ProvisionedIn looks rates up in a store, for Limiter.Provisioned.
func ProvisionedIn(s store.Store) func(context.Context, string, api.Quota) (int, bool, error) {
	return func(ctx context.Context, region string, q api.Quota) (n int, set bool, err error) {
		err = s.View(ctx, func(v store.View) (err error) {
			n, set, err = Provisioned(v.Settings(), region, q)
			return err
		})
		return n, set, err
	}
}
